#!/bin/bash
# Failure drills with too few open files: the service reports this at its start, refuses with an error what exceeds its
# limit, and completes each job that it has accepted.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
# shellcheck source=torture/jobs.sh
source "$1/Tests/System/torture/jobs.sh"
install_sluice
# A constant number of lanes: after the first refusal the service refuses jobs until one ends.
settings <<'TOML'
[lanes]
minimum = 4
maximum = 4
[parking]
after_seconds = 0.5
TOML
start_origin
make_body small 100K
make_body middle 8M
drop_in descriptors <<< $'[Service]\nLimitNOFILE=256'
systemctl start sluiced.socket $unit
daemon=$(main)
open_files() { { find "/proc/$daemon/fd" -mindepth 1 2> /dev/null || :; } | wc -l; }
# fetches: the body of a new job arrives whole.
fetches() { [ "$(as member sluicectl --socket $system_socket fetch --quiet "$origin/small" | sha256sum)" = "$(sum_of small)  -" ]; }

it "a service that may have fewer open files than its settings need reports this once, and works"
logged descriptorsShort || fail "the service does not report it"
equal "how often" "$(journalctl --no-pager -q -o cat MESSAGE_ID="$(message_id descriptorsShort)" | wc -l)" 1
contains "its explanation" "$(journalctl --no-pager -q -x MESSAGE_ID="$(message_id descriptorsShort)")" LimitNOFILE
fetches || fail "a job was not served"

it "jobs are refused before the last descriptor is gone, with the limit and its name"
before=$(open_files)
coproc FILL { client fill "$origin/middle"; }
filler=$FILL_PID
fill_in=${FILL[1]}
exec {fill_out}<&"${FILL[0]}"
IFS= read -r -t 60 said <&"$fill_out" || fail "no answer"
count=${said%% *}
[ "$count" -ge 20 ] && [ "$count" -lt 52 ] || fail "$count jobs"
contains "the refusal" "$said" ResourcesExhausted
contains "the refusal" "$said" "256 open files (LimitNOFILE=)"
[ "$(open_files)" -lt 256 ] || fail "$(open_files) open files"

it "sluicectl reports it, and all except new jobs still works"
status=0
refused=$(as member sluicectl --socket $system_socket fetch --quiet "$origin/small" 2>&1) || status=$?
equal "the exit status" $status 6
contains "the sentence" "$refused" LimitNOFILE
equal "the list" "$(sluicectl list | grep -cE 'parked|stalled|streaming|queued|connecting|waiting')" "$count"
sluicectl status > /dev/null
systemctl reload $unit

it "too many connections are refused with an error, and leave room for work"
read -r served turned_away error <<< "$(client crowd 300)"
equal "all of them" $((served + turned_away)) 300
[ "$served" -gt 20 ] && [ "$served" -le 128 ] || fail "$served were served"
contains "the refusal" "$error" TooManyConnections
eventually 10 sluicectl status > /dev/null
equal "the limit that is told" "$(sluicectl metrics | sed -n 's/^sluice_connections_limit //p')" 128

it "every job that was accepted is whole, and then there is room again"
exec {fill_in}>&-
IFS= read -r -t 120 said <&"$fill_out" || fail "no bodies"
equal "the bodies" "$said" "$count $(sum_of middle)"
wait $filler
eventually 10 fetches
all_back() { [ "$(open_files)" -le $((before + 16)) ]; }
eventually 10 all_back

it "nothing was restarted, and nothing else was logged as an error"
equal "the daemon" "$(main)" "$daemon"
equal "the restarts" "$(property $unit NRestarts)" 0
equal "errors" "$(journalctl --no-pager -q -o cat -p err SYSLOG_IDENTIFIER=sluiced)" ""
systemctl stop sluiced.socket $unit
finish
