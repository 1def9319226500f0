#!/bin/bash
# An administrator's means to monitor the service: a job's journal, explanations, numbers for Prometheus.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
unit=sluiced.service
install_sluice
start_origin
head -c 3000000 /dev/urandom > "$scratch/www/body"
truncate -s 256M "$scratch/www/large"
systemctl start $unit

it "sluicectl logs shows the service's entries on one job, and no entries that another process forged"
read -r _ _ _ job <<< "$(client drain "$origin/body")"
read -r _ _ _ other <<< "$(client drain "$origin/body")"
eventually 5 logged jobComplete SLUICE_JOB="$job"
# A process that forges an entry.
logger --journald <<END
MESSAGE=forged
SLUICE_JOB=$job
END
forged() { journalctl --no-pager -q SLUICE_JOB="$job" | grep forged > /dev/null; }
eventually 5 forged
said=$(sluicectl logs "$job")
for line in "job accepted" "job started" "job complete"; do contains log "$said" "$line"; done
[[ $said != *forged* && $said != *"$other"* ]] || fail "not the job's own: $said"
equal "the latest entry alone" "$(sluicectl logs "$job" -n 1 -o cat | wc -l)" 1
contains "as JSON" "$(sluicectl logs "$job" -o json)" "\"SLUICE_JOB\":\"$job\""
equal "as JSON, of no job" "$(sluicectl logs nosuchjob -o json)" ""
contains "of no job" "$(sluicectl logs nosuchjob)" "No entries"

it "-x adds explanations, and -f continues with new entries"
contains explained "$(sluicectl logs -x "$job")" "The body has been handed to its consumer"
coproc HOLD { client hold 1 "$origin/large"; }
holder=$HOLD_PID
read -r said <&"${HOLD[0]}"
held=$(sluicectl list | awk '$2 ~ /stalled|streaming|connecting|queued/ { print $1 }')
sluicectl logs -f -o cat "$held" > "$scratch/follow" &
follower=$!
follows() { grep "$1" "$scratch/follow" > /dev/null; }
eventually 15 follows "job stalled"
eventually 5 follows "job accepted"
sluicectl cancel "$held" > /dev/null
eventually 5 follows "job cancelled"
kill $follower
hold_in=${HOLD[1]}
exec {hold_in}>&-
wait "$holder" || :

it "a user who may not read the journal is told so, and what to do; a user who may, by a group, reads it"
if as member sluicectl logs "$job" > "$scratch/member" 2>&1; then fail "a member read the journal"; fi
contains "what a member is told" "$(cat "$scratch/member")" "you may not read the journal"
contains "what a member is told" "$(cat "$scratch/member")" "systemd-journal"
usermod --append --groups systemd-journal member
contains "what the group may see" "$(as member sluicectl logs "$job")" "job complete"

it "each entry that may be acted on has a MESSAGE_ID, and each of these ids has an explanation"
# A lane that cannot start, a method that is refused, settings that are wrong or need a restart.
client call Fetch '{"url": "nonsense"}' > /dev/null 2>&1 || :
printf '[limits]\nconnections = 100\nconnections_per_user = 50\n' > /etc/sluice/sluiced.toml
systemctl reload $unit
eventually 5 logged settingsNeedRestart
echo nonsense > /etc/sluice/sluiced.toml
if systemctl reload $unit 2> /dev/null; then fail "the reload succeeded"; fi
eventually 5 logged settingsRejected
systemctl stop $unit
if systemctl start $unit 2> /dev/null; then fail "it started with settings that are wrong"; fi
systemctl stop $unit
eventually 5 logged serviceFailed
entry=$(journalctl --no-pager -q -o json MESSAGE_ID="$(message_id serviceFailed)" | tail -n 1)
contains "its priority" "$entry" '"PRIORITY":"2"'
contains "its explanation" "$(journalctl --no-pager -x MESSAGE_ID="$(message_id serviceFailed)")" "--check-config"
: > /etc/sluice/sluiced.toml
systemctl start $unit
# Entries of the daemon itself, not of systemd about it; notice and more severe.
journalctl --no-pager -q -o json -u $unit -p notice SYSLOG_IDENTIFIER=sluiced > "$scratch/entries"
[ -s "$scratch/entries" ] || fail "there are none"
if grep -v '"MESSAGE_ID"' "$scratch/entries"; then fail "without an id"; fi
journalctl --list-catalog > "$scratch/catalog"
grep -oE '"MESSAGE_ID":"[0-9a-f]*"' "$scratch/entries" | cut -d '"' -f 4 | sort -u > "$scratch/ids"
while read -r id; do grep "^$id" "$scratch/catalog" > /dev/null || fail "$id has no explanation"; done < "$scratch/ids"

it "too many refusals are not logged, but counted, in the journal and in the metrics"
python3 - $system_socket <<'END'
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
reader = s.makefile("rb")
for _ in range(500):
    s.sendall(json.dumps({"method": "io.sluice.Ingest.Fetch", "parameters": {"url": "x"}}).encode() + b"\0")
    reply = b""
    while not reply.endswith(b"\0"):
        reply += reader.read(1)
END
refusals=$(journalctl --no-pager -q -o cat MESSAGE_ID="$(message_id clientRefused)" | wc -l)
[ "$refusals" -lt 120 ] || fail "$refusals messages"
number() { sluicectl metrics | awk -v name="$1" '$1 == name { print $2 }'; }
equal refused "$(number 'sluice_clients_refused_total{reason="invalidRequest"}')" 500
dropped=$(number 'sluice_log_messages_dropped_total{reason="limit"}')
[ "$dropped" -ge 400 ] || fail "dropped: $dropped"

it "the timer writes the metrics where the node exporter reads them"
examples=/usr/share/doc/sluice/examples
cp $examples/sluice-metrics.service $examples/sluice-metrics.timer /etc/systemd/system
systemctl daemon-reload
equal "systemd-analyze verify" "$(systemd-analyze verify sluice-metrics.service sluice-metrics.timer 2>&1)" ""
file=/var/lib/prometheus/node-exporter/sluice.prom
install -d /var/lib/prometheus/node-exporter
systemctl enable --quiet --now sluice-metrics.timer
eventually 10 test -s $file
equal "its mode" "$(stat -c '%U %a' $file)" "root 644"
promtool check metrics < $file
systemd-run --quiet --unit=exporter --uid=nobody prometheus-node-exporter --collector.disable-defaults \
    --collector.textfile --collector.textfile.directory="${file%/*}" --web.listen-address=127.0.0.1:9100
exported() { curl --silent http://127.0.0.1:9100/metrics > "$scratch/exported" && grep "^$1" "$scratch/exported" > /dev/null; }
eventually 10 exported 'sluice_build_info'
exported 'sluice_clients_refused_total{reason="invalidRequest"} 500' || fail "not the numbers: $(grep sluice "$scratch/exported")"
exported 'node_textfile_scrape_error 0' || fail "the exporter rejects the file"
equal "what is left beside it" "$(ls -A "${file%/*}")" sluice.prom

it "it writes repeatedly, each time as a whole, and with the current numbers"
old=$(stat -c %i $file)
client drain "$origin/body" > /dev/null
systemctl start sluice-metrics.service
[ "$(stat -c %i $file)" != "$old" ] || fail "the file was written to, and not replaced"
grep '^sluice_jobs_ended_total{outcome="complete"} 1$' $file > /dev/null || fail "$(grep ended $file)"

it "there are no metrics of a service that does not run, and the service is not started for them"
systemctl stop $unit
systemctl start sluiced.socket
systemctl start sluice-metrics.service || fail "a service that is stopped is no failure"
[ ! -e $file ] || fail "old numbers are left"
equal "the service" "$(property $unit ActiveState)" inactive
systemctl start $unit
systemctl start sluice-metrics.service
[ -s $file ] || fail "no numbers"

it "the process's start time shows restarts, and jobs that survived one are counted"
coproc HOLD { client hold 1 "$origin/large"; }
holder=$HOLD_PID
read -r said <&"${HOLD[0]}"
is_number() { [ "$(number "$1")" = "$2" ]; }
eventually 10 is_number sluice_jobs_stored 1
started=$(number sluice_process_start_time_seconds)
systemctl restart $unit
[ "$(number sluice_process_start_time_seconds)" != "$started" ] || fail "the same start"
equal restored "$(number sluice_jobs_restored_total)" 1
equal "bytes of before" "$(number sluice_delivered_bytes_total)" 0
contains "the status line" "$(systemctl status --no-pager $unit)" 'Status: "1 '
hold_in=${HOLD[1]}
exec {hold_in}>&-
wait "$holder" || :
finish
