#!/bin/bash
# alone: it measures time and memory
# 1,000 consumers that read nothing for long: what their jobs cost, also when the service's process ends, and that
# all consumers get their bodies in the end.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
# shellcheck source=torture/jobs.sh
source "$1/Tests/System/torture/jobs.sh"
install_sluice
settings <<'TOML'
[lanes]
maximum = 32
idle_seconds = 1
[parking]
after_seconds = 0.3
TOML
drop_in parked <<'UNIT'
[Service]
RestartSec=200ms
UNIT
start_origin
crowd=1000
# Larger than pipe, staging pipe and high watermark together, so that the gate closes.
for number in {0..15}; do make_body "body$number" 1536K; done
systemctl start sluiced.socket $unit

descriptors() { { find "/proc/$1/fd" -mindepth 1 2> /dev/null || :; } | wc -l; }
private() { awk '/^Private_/ { kib += $2 } END { print kib }' "/proc/$1/smaps_rollup"; }
# numbers WHEN: prints them, and keeps those of the daemon.
numbers() {
    daemon_descriptors=$(descriptors "$(main)")
    daemon_private=$(private "$(main)")
    lane_count=$(lanes | wc -l)
    local lane total=0
    for lane in $(lanes); do total=$((total + $(private "$lane" || echo 0))); done
    printf '     %-28s %4s processes, %5s descriptors and %6s KiB private in the daemon; %s KiB in %s lanes; ' \
        "$1" $((lane_count + 1)) "$daemon_descriptors" "$daemon_private" "$total" "$lane_count"
    printf '%s in the store; systemd has %s descriptors\n' "$(property $unit NFileDescriptorStore)" "$(descriptors 1)"
}
count_of() { client call Status | python3 -c 'import json, sys; print(json.load(sys.stdin)["jobs"][sys.argv[1]])' "$1"; }
all_parked() { [ "$(count_of parked)" = $crowd ]; }
few_lanes() { [ "$(lanes | wc -l)" = 2 ]; }

it "1,000 jobs whose consumers do not read are all parked"
eventually 10 few_lanes
numbers "before:"
before_private=$daemon_private
before_descriptors=$daemon_descriptors
ulimit -n 4096
mkfifo "$scratch/to-crowd" "$scratch/from-crowd"
as member python3 "$repository/Tests/System/torture/crowd.py" $system_socket $crowd "$origin" "$scratch"/www/body* \
    < "$scratch/to-crowd" > "$scratch/from-crowd" &
crowd_pid=$!
exec {to_crowd}> "$scratch/to-crowd" {from_crowd}< "$scratch/from-crowd"
IFS= read -r -t 60 said <&"$from_crowd"
equal "the crowd" "$said" held
began=$(milliseconds)
eventually 120 all_parked
echo "     after $(($(milliseconds) - began)) ms"

it "they have no process and no connection, and little memory"
eventually 10 few_lanes
numbers "1,000 parked:"
each=$(((daemon_private - before_private) / crowd))
echo "     $each KiB of the daemon's memory for each"
[ $each -le 16 ] || fail "that is more than 16 KiB"
connections=$(ss --no-header --tcp state established '( dport = 8080 )' 2> /dev/null | wc -l)
[ "$connections" -le 2 ] || fail "$connections connections to the origin"

for way in kill_daemon "systemctl restart $unit"; do
    it "they survive: $way"
    before=$(main)
    began=$(milliseconds)
    $way
    back "$before"
    client call Status > /dev/null
    echo "     the service was back after $(($(milliseconds) - began)) ms"
    # Checked at once, without waiting: the jobs must come back as parked.
    equal "parked jobs" "$(count_of parked)" $crowd
    eventually 10 few_lanes
    numbers "and after it:"
done

it "then all consumers read, and every body is right"
began=$(milliseconds)
echo "read now" >&"$to_crowd"
IFS= read -r -t 240 said <&"$from_crowd" || fail "the consumers do not come to an end"
echo "     $said in $(($(milliseconds) - began)) ms"
equal "the outcomes" "$said" "{\"complete\": $crowd}"
wait $crowd_pid

it "the service is then as it was before"
eventually 15 few_lanes
is_empty() { is_property $unit NFileDescriptorStore 0; }
eventually 10 is_empty
# The service releases the places of ended jobs' pipes as soon as it sees that no consumer has them open any more.
are_few() { [ "$(descriptors "$(main)")" -le $((before_descriptors + 4)) ]; }
eventually 15 are_few
numbers "at the end:"
finish
