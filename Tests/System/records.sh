#!/bin/bash
# The journal records who fetched what, whatever else is logged; reloads fail if the settings are broken; a consumer opens
# its /dev/stdin again.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
unit=sluiced.service
# journald's own limit, small enough for one flood to reach it.
install -d /etc/systemd/journald.conf.d
printf '[Journal]\nRateLimitIntervalSec=30s\nRateLimitBurst=500\n' > /etc/systemd/journald.conf.d/small.conf
systemctl restart systemd-journald.service
install_sluice
useradd --create-home --groups sluice bystander
start_origin
head -c 10240 /dev/urandom > "$scratch/www/body"
truncate -s 64M "$scratch/www/large"
systemctl start $unit

uid() { id -u "$1"; }
# count CASE [MATCH...]: the number of entries of a kind.
count() { journalctl --no-pager -q -o cat MESSAGE_ID="$(message_id "$1")" "${@:2}" | wc -l; }
is_count() { [ "$(count "${@:2}")" = "$1" ]; }
# flood COUNT: runs this number of jobs of a member, eight at once.
flood() {
    as member python3 - "$repository/Tests/System/client.py" $system_socket "$1" "$origin/body" <<'END'
import os, sys, threading
path, socket_path, count, url = sys.argv[1:]
# Loaded only for its functions; as a program it would require a command.
text = open(path).read().split("\ncommand, arguments =")[0]
sys.argv = [path, socket_path]
client = {}
exec(compile(text, path, "exec"), client)

def run(jobs):
    connection = client["connect"]()
    for _ in range(jobs):
        body = client["fetch"](connection, url)[1]
        while os.read(body, 65536):
            pass
        os.close(body)

threads = [threading.Thread(target=run, args=(int(count) // 8,)) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
END
}

it "a user's flood of jobs hides no record, neither its own nor that of another user"
began=$(milliseconds)
flood 1200 &
flooding=$!
for _ in 1 2 3 4 5; do as bystander sluicectl fetch --quiet "$origin/body" > /dev/null; done
wait $flooding
echo "1200 jobs in $(($(milliseconds) - began)) ms"
journalctl --sync
echo "records: $(count jobQueued SLUICE_USER="$(uid member)"), $(count jobComplete SLUICE_USER="$(uid member)")"
for kind in jobQueued jobComplete; do
    eventually 20 is_count 1200 $kind SLUICE_USER="$(uid member)"
    eventually 20 is_count 5 $kind SLUICE_USER="$(uid bystander)"
done
equal "suppressed by journald" "$(journalctl --no-pager -q -u systemd-journald | grep -c 'Suppressed.*sluiced' || :)" 0

it "a record has user, process, host, bytes and outcome; every entry about a job has its user"
entry=$(journalctl --no-pager -q -o json -n 1 MESSAGE_ID="$(message_id jobComplete)" SLUICE_USER="$(uid bystander)")
for part in '"SLUICE_PID":"' '"SLUICE_HOST":"127.0.0.1"' '"SLUICE_BYTES":"10240"' '"SLUICE_OUTCOME":"complete"'; do
    contains "the record" "$entry" "$part"
done
without=$(journalctl --no-pager -q -o json -u $unit | jq -c 'select(.SLUICE_JOB and (.SLUICE_USER | not))' | wc -l)
equal "entries about a job without its user" "$without" 0

it "the record has the client's name if the administrator lets the service see it"
drop_in names <<< $'[Service]\nProtectProc=default'
systemctl restart $unit
as bystander sluicectl fetch --quiet "$origin/body" > /dev/null
named() { logged jobQueued SLUICE_USER="$(uid bystander)" SLUICE_EXECUTABLE=sluicectl; }
eventually 10 named
drop_out names
systemctl restart $unit

it "records wait for a journald that hangs; jobs and clients do not wait"
before=$(count jobComplete SLUICE_USER="$(uid member)")
journald=$(property systemd-journald.service MainPID)
kill -STOP "$journald"
began=$(milliseconds)
timeout 120 bash -c "$(declare -f flood as); repository=$repository system_socket=$system_socket origin=$origin; flood 400" || stuck=yes
took=$(($(milliseconds) - began))
as bystander sluicectl fetch --quiet "$origin/body" > /dev/null || stuck=yes
kill -CONT "$journald"
[ -z "${stuck:-}" ] || fail "the service waits for journald"
echo "400 jobs beside a journald that hangs: $took ms"
eventually 30 is_count $((before + 400)) jobComplete SLUICE_USER="$(uid member)"

it "log.level does not suppress records"
settings <<< $'[log]\nlevel = "error"'
systemctl restart $unit
before=$(count jobComplete SLUICE_USER="$(uid bystander)")
as bystander sluicectl fetch --quiet "$origin/body" > /dev/null
eventually 10 is_count $((before + 1)) jobComplete SLUICE_USER="$(uid bystander)"
settings < /dev/null
systemctl restart $unit

it "systemctl reload fails with a broken file or drop-in, reports what is wrong, and changes nothing"
main=$(property $unit MainPID)
systemctl reload $unit
printf 'lanes.maximum = 0\n' > /etc/sluice/sluiced.toml
if systemctl reload $unit 2> /dev/null; then fail "the reload of a broken file succeeded"; fi
eventually 10 logged settingsRejected
contains "systemctl status" "$(systemctl status --no-pager -n 30 $unit)" "lanes.maximum: 0 is out of range"
equal "state" "$(property $unit ActiveState)" active
equal "the daemon" "$(property $unit MainPID)" "$main"
: > /etc/sluice/sluiced.toml
systemctl reload $unit
install -d /etc/sluice/sluiced.toml.d
printf 'lanes.no = 0\n' > /etc/sluice/sluiced.toml.d/50-broken.toml
if systemctl reload $unit 2> /dev/null; then fail "the reload of a broken drop-in succeeded"; fi
printf '[timeouts]\nmaximum_connect_seconds = 7\nconnect_seconds = 5\n' > /etc/sluice/sluiced.toml.d/50-broken.toml
systemctl reload $unit
contains "what is in force" "$(sluiced --config /etc/sluice/sluiced.toml --print-config)" \
    "maximum_connect_seconds = 7  # /etc/sluice/sluiced.toml.d/50-broken.toml"
refused() {
    ! as bystander sluicectl fetch --quiet --connect-timeout 31536000 "$origin/body" > /dev/null 2> "$scratch/said" \
        && grep -q 'longer than the 7.* s' "$scratch/said"
}
eventually 10 refused
rm -r /etc/sluice/sluiced.toml.d

it "a consumer opens /dev/stdin again, and cannot write to it"
equal wc "$(as bystander sluicectl fetch --quiet "$origin/body" -- wc -c /dev/stdin)" "10240 /dev/stdin"
if as bystander sluicectl fetch --quiet "$origin/body" -- sh -c 'echo forged >> /dev/stdin' 2> "$scratch/said"; then
    fail "it could write"
fi
contains "what it was told" "$(cat "$scratch/said")" "ermission denied"
finish
