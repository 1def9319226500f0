#!/bin/bash
# The service as an administrator meets it: start, status, journal, reload, watchdog, stop, socket activation.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
unit=sluiced.service
install_sluice
head -c 8388608 /dev/urandom > /tmp/body
start_origin
install -m 644 /tmp/body "$scratch/www/body"
truncate -s 256M "$scratch/www/large"
sum=$(sha256sum < /tmp/body | cut -d ' ' -f 1)

# The lanes of the running service.
lanes() { pgrep -u sluice -x sluice-lane || :; }
main() { property $unit MainPID; }
# in_state STATE COUNT: whether this number of member's jobs is in the state.
in_state() {
    local jobs
    jobs=$(as member python3 "$repository/Tests/System/client.py" $system_socket call List)
    [ "$(grep -o "\"state\": \"$1\"" <<< "$jobs" | wc -l)" = "$2" ]
}

it "systemctl start returns when the service answers, with its first lanes warm"
systemctl start $unit
client call Status > /dev/null
[ "$(lanes | wc -l)" -ge 2 ] || fail "lanes: $(lanes)"
eventually 5 logged serviceReady

it "the service and its lanes run as the user sluice, and the socket is for the group sluice"
equal "the daemon's user" "$(stat -c %U "/proc/$(main)")" sluice
for lane in $(lanes); do
    contains "the lane's control group" "$(cat "/proc/$lane/cgroup")" $unit
done
equal socket "$(stat -c '%U:%G %a' $system_socket)" "sluice:sluice 660"
if as stranger sluicectl --socket $system_socket status > "$scratch/stranger" 2>&1; then
    fail "a user outside the group could connect"
fi
contains "what a stranger is told" "$(tr '[:upper:]' '[:lower:]' < "$scratch/stranger")" "you may not use"

it "systemctl status shows the status line"
contains status "$(systemctl status --no-pager $unit)" 'Status: "'
coproc HOLD { as member python3 "$repository/Tests/System/client.py" $system_socket hold 3 "$origin/large"; }
holder=$HOLD_PID
read -r said <&"${HOLD[0]}"
equal "the holder" "$said" held
eventually 15 in_state stalled 3
stalled_in_status() { systemctl status --no-pager $unit | grep 'Status: ".*3 stalled' > /dev/null; }
eventually 5 stalled_in_status

it "a job ends when its consumer goes away"
hold_in=${HOLD[1]}
exec {hold_in}>&-
wait "$holder" || :
eventually 5 in_state stalled 0

it "a body arrives whole, through sluicectl and through another client"
equal sum "$(as member sluicectl --socket $system_socket fetch --quiet "$origin/body" | sha256sum | cut -d ' ' -f 1)" "$sum"
read -r count _ digest job <<< "$(as member python3 "$repository/Tests/System/client.py" $system_socket drain "$origin/body?token=hidden")"
equal bytes "$count" 8388608
equal sum "$digest" "$sum"

it "journalctl SLUICE_JOB= shows the job's history, without its secrets"
eventually 5 logged jobComplete SLUICE_JOB="$job"
for kind in jobQueued jobStarted; do
    logged $kind SLUICE_JOB="$job" || fail "no $kind in: $(journalctl --no-pager -o cat SLUICE_JOB="$job")"
done
entry=$(journalctl --no-pager -q -o json SLUICE_JOB="$job" MESSAGE_ID="$(message_id jobComplete)")
contains entry "$entry" '"SLUICE_BYTES":"8388608"'
contains entry "$entry" '"SLUICE_HTTP_STATUS":"200"'
contains entry "$entry" '"SLUICE_STATE":"complete"'
contains "the job's journal" "$(journalctl --no-pager -q -o json SLUICE_JOB="$job")" '"SLUICE_HOST":"127.0.0.1'
if journalctl --no-pager -q -o json -u $unit | grep hidden > /dev/null; then fail "a query is in the journal"; fi
contains "the catalog" "$(journalctl --no-pager -x SLUICE_JOB="$job")" "Job $job is complete"

it "the death of a lane fails its job and nothing else"
before=$(main)
kill -KILL "$(lanes | head -n 1)"
eventually 5 logged laneDied
equal "the daemon" "$(main)" "$before"
equal sum "$(as member sluicectl --socket $system_socket fetch --quiet "$origin/body" | sha256sum | cut -d ' ' -f 1)" "$sum"

it "reload reads the settings again; broken ones are refused, and the service continues"
systemctl reload $unit
eventually 5 logged settingsReloaded
cp /etc/sluice/sluiced.toml "$scratch/settings"
printf '\n[nonsense]\nkey = 1\n' >> /etc/sluice/sluiced.toml
if systemctl reload $unit 2> /dev/null; then fail "the reload succeeded"; fi
eventually 5 logged settingsRejected
cp "$scratch/settings" /etc/sluice/sluiced.toml
equal "the daemon" "$(main)" "$before"
client call Status > /dev/null

it "the watchdog restarts a daemon that hangs, and no lane is left over"
install -d /run/systemd/system/$unit.d
printf '[Service]\nWatchdogSec=2\n' > /run/systemd/system/$unit.d/watchdog.conf
systemctl daemon-reload
systemctl restart $unit
pid=$(main)
old=$(lanes)
# The daemon feeds the watchdog while it works: three watchdog intervals without a restart.
fed=$(($(date +%s) + 6))
past_three_intervals() { [ "$(date +%s)" -ge $fed ]; }
eventually 10 past_three_intervals
equal "the daemon" "$(main)" "$pid"
kill -STOP "$pid"
eventually 15 is_property $unit NRestarts 1
eventually 10 is_property $unit ActiveState active
for lane in $old; do [ ! -d "/proc/$lane" ] || fail "the lane $lane outlived its daemon"; done
client call Status > /dev/null
rm /run/systemd/system/$unit.d/watchdog.conf
systemctl daemon-reload

it "systemctl stop is clean and quick, also with running jobs, for which the service asks systemd for more time if needed"
drop_in short <<< $'[Service]\nTimeoutStopSec=2s'
coproc HOLD { as member python3 "$repository/Tests/System/client.py" $system_socket hold 3 "$origin/large"; }
holder=$HOLD_PID
read -r said <&"${HOLD[0]}"
eventually 15 in_state stalled 3
began=$(milliseconds)
systemctl stop $unit
took=$(($(milliseconds) - began))
# restart.drain_seconds is 5: the jobs may continue for that time.
[ $took -ge 5000 ] || fail "it took $took ms"
sooner "systemctl stop" $took 9000
drop_out short
equal result "$(property $unit Result)" success
equal lanes "$(lanes)" ""
[ ! -e $system_socket ] || fail "the socket is still there"
logged serviceStopping || fail "the journal does not report it"
if journalctl --no-pager -q -o cat -u $unit --since "@$((began / 1000))" | grep "Killing process"; then fail "lanes were left to systemd"; fi
hold_in=${HOLD[1]}
exec {hold_in}>&-
wait "$holder" || :

it "the socket unit starts it at the first connection, and again after a stop"
systemctl start sluiced.socket
for round in 1 2; do
    equal "state in round $round" "$(property $unit ActiveState)" inactive
    equal sum "$(as member sluicectl fetch --quiet "$origin/body" | sha256sum | cut -d ' ' -f 1)" "$sum"
    # The service serves before systemd has read its READY.
    eventually 10 is_property $unit ActiveState active
    systemctl stop $unit 2> /dev/null
done
systemctl stop sluiced.socket
[ ! -e $system_socket ] || fail "the socket is still there"

it "a socket unit of the wrong type is refused, with the reason and the remedy"
install -d /run/systemd/system/sluiced.socket.d
printf '[Socket]\nListenStream=\nListenDatagram=%s\n' $system_socket > /run/systemd/system/sluiced.socket.d/wrong.conf
systemctl daemon-reload
systemctl start sluiced.socket
if systemctl start $unit 2> /dev/null; then fail "it started"; fi
said=$(journalctl --no-pager -q -o cat -u $unit)
contains "the journal" "$said" "datagram socket"
contains "the journal" "$said" "ListenStream="
finish
