#!/bin/bash
# The service's process ends in every possible way, and its jobs continue: as an administrator and the consumers see it.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
# shellcheck source=torture/jobs.sh
source "$1/Tests/System/torture/jobs.sh"
install_sluice
settings <<'TOML'
[lanes]
minimum = 1
maximum = 3
[gate]
stalled_after_seconds = 0.2
[parking]
after_seconds = 4
[restart]
drain_seconds = 3
TOML
drop_in quick <<'UNIT'
[Service]
RestartSec=200ms
UNIT
start_origin
start_gate
make_body large 256M
make_body half 128M
make_body middle 8M
make_body other 8M
make_body small 2M
start_rider
half_sum=$(sum_of half)

# ---- one body in flight, and all that can happen to it ---------------------

# rides MILLISECONDS COMMAND...: runs a consumer of a large body, and a sluicectl with a slow reader, and meanwhile the
# command, which ends the service's process and brings another within the time.
rides() {
    local before id took limit=$1
    shift
    ask fetch big "$origin/large"
    id=$answer
    ask command cli sluicectl --socket $system_socket fetch --quiet "$origin/half"
    for name in big cli; do
        ask take $name $((8 << 20))
        ask pace $name $((20 << 20))
    done
    ask waiting big
    ask watching big
    kept
    before=$(main)
    took=$(milliseconds)
    "$@"
    back "$before"
    took=$(($(milliseconds) - took))
    ask waited big
    equal "the call of Wait that was under way" "$answer" Gone
    ask watched big
    ask show big
    equal "the job's id" "$(field id)" "$id"
    [[ " queued connecting streaming stalled waiting " == *" $(field state) "* ]] || fail "its state: $answer"
    ask waiting big
    ask watching big
    whole big large
    [ "$(field attempts)" -gt 1 ] || fail "attempts: $(field attempts)"
    ask waited big
    equal "Wait, called again" "$(field id) $(field outcome.code)" "$id complete"
    ask watched big
    [[ $answer == *"complete end" ]] || fail "Watch, called again: $answer"
    ask drain cli
    equal "what sluicectl wrote" "$answer" "$((128 << 20)) $half_sum"
    ask exit cli
    equal "sluicectl's exit status" "$answer" "0 ''"
    echo "     the service was back after $took ms"
    [ $took -lt "$limit" ] || fail "that is more than $limit ms"
}

it "a job survives kill -9 if the service creates its own socket"
systemctl start $unit
rides 3000 kill_daemon
systemctl stop $unit
systemctl start sluiced.socket $unit

it "a job survives kill -9 if systemd has the socket"
rides 3000 kill_daemon

it "a job survives systemctl restart"
rides 3000 systemctl restart $unit

it "a job survives a kill by the watchdog"
drop_in watchdog <<< $'[Service]\nWatchdogSec=2'
systemctl restart $unit
restarts=$(property $unit NRestarts)
hang() {
    kill -STOP "$(main)"
    eventually 15 is_property $unit NRestarts $((restarts + 1))
}
rides 6000 hang
drop_out watchdog

it "a job survives an upgrade of the programs"
upgrade() {
    for program in /usr/bin/sluiced /usr/bin/sluicectl /usr/libexec/sluice/sluice-lane; do
        cp "$program" "$program.new"
        mv "$program.new" "$program"
    done
    systemctl daemon-reload
    systemctl restart $unit
}
rides 3000 upgrade
for process in $(main) $(lanes); do
    contains "the program of $process" "$(readlink "/proc/$process/exe")" sluice
    [[ $(readlink "/proc/$process/exe") != *deleted* ]] || fail "$process runs an old program"
done

it "a job survives systemctl daemon-reexec, and kill -9 after it"
reexec() {
    local before
    before=$(main)
    systemctl daemon-reexec
    equal "the daemon" "$(main)" "$before"
    kill_daemon
}
rides 3000 reexec

# ---- many jobs -------------------------------------------------------------

survivors="parked waiting connecting streaming stalled queued"
# begin ROUND: starts a job in each state.
begin() {
    rm -f "$scratch/www/busy$1" "$scratch/www/hold$1"
    ask fetch parked "$origin/middle?$1"
    eventually 10 in_state parked parked
    ask fetch waiting "$gate/busy/busy$1/other"
    eventually 5 in_state waiting waiting
    ask fetch connecting "$gate/hold/hold$1/other"
    ask fetch streaming "$origin/slow/middle"
    ask pace streaming $((20 << 20))
    ask fetch stalled "$origin/other"
    eventually 5 in_state connecting connecting
    eventually 5 in_state streaming streaming
    eventually 5 in_state stalled stalled
    ask fetch queued "$origin/small"
    kept
    eventually 5 in_state queued queued
    ids=$(ids)
}
ids() {
    for name in $survivors; do
        ask show "$name"
        field id
    done
}
# finish_all ROUND
finish_all() {
    equal "the jobs' ids" "$(ids)" "$ids"
    ask show parked
    equal "the parked job's state" "$(field state)" parked
    touch "$scratch/www/busy$1" "$scratch/www/hold$1"
    whole waiting other
    whole connecting other
    whole stalled other
    whole streaming middle
    whole queued small
    whole parked middle
}

it "a job in each state survives kill -9"
begin 1
before=$(main)
kill_daemon
back "$before"
finish_all 1

it "a job in each state survives systemctl restart"
begin 2
before=$(main)
systemctl restart $unit
back "$before"
finish_all 2

it "waiting jobs keep their places in the queue"
rm -f "$scratch/www/first"
for name in a b c; do
    ask fetch $name "$gate/hold/first/small"
    eventually 5 in_state $name connecting
done
order="d e f g h i"
for name in $order; do ask fetch $name "$origin/small"; done
kept
before=$(main)
kill_daemon
back "$before"
for name in a b c; do eventually 10 in_state $name connecting; done
for name in $order; do in_state "$name" queued || fail "$name: $answer"; done
touch "$scratch/www/first"
last=0
for name in a b c $order; do whole $name small; done
for name in $order; do
    ask show "$name"
    started=$(field startedUsec)
    [ "$started" -gt "$last" ] || fail "$name was started before its turn"
    last=$started
done

it "outcomes of jobs that have ended survive"
ask fetch complete "$origin/small"
whole complete small
ask fetch missing "$origin/nowhere"
ask drain missing
ask fetch gone "$origin/middle"
ask close gone
ended="complete missing gone"
for name in $ended; do ask wait "$name"; done
outcomes() {
    for name in $ended; do
        ask show "$name"
        echo "$name $(field id) $(field state) $(field outcome.code) $(field bytesDelivered) $(field httpStatus) $(field finishedUsec)"
    done
}
told=$(outcomes)
contains "the outcomes" "$told" "failed httpStatus 0 404"
contains "the outcomes" "$told" "failed consumerGone"
for way in "systemctl restart $unit" kill_daemon; do
    before=$(main)
    $way
    back "$before"
    equal "the outcomes after $way" "$(outcomes)" "$told"
done

it "the service notices that a consumer went away while it was down"
drop_in slow <<< $'[Service]\nRestartSec=2s'
ask fetch parked "$origin/middle"
eventually 10 in_state parked parked
ask fetch streaming "$origin/slow/middle"
ask pace streaming $((20 << 20))
ask fetch stays "$origin/slow/middle"
kept
before=$(main)
kill_daemon
eventually 5 is_property $unit MainPID 0
ask close parked
ask close streaming
back "$before"
for name in parked streaming; do
    ask wait $name
    equal "the outcome of the one that was $name" "$(field outcome.code)" consumerGone
done
whole stays middle
drop_out slow

# ---- the end ---------------------------------------------------------------

it "systemctl stop lets jobs continue for a while, and reports the others as serviceStopped"
ask fetch never "$origin/middle"
ask fetch parked "$origin/other"
eventually 10 in_state parked parked
kept
# Started last, so that the body is in the middle when the stop begins: it takes more than a second.
ask fetch soon "$origin/slow/small"
ask pace soon $((20 << 20))
for name in soon never parked; do ask waiting $name; done
began=$(milliseconds)
systemctl stop sluiced.socket $unit &
stopping=$!
wait $stopping
took=$(($(milliseconds) - began))
[ $took -ge 2500 ] || fail "it took $took ms"
sooner "systemctl stop" $took 9000
equal result "$(property $unit Result)" success
equal lanes "$(lanes)" ""
ask waited soon
equal "the outcome of the body that was nearly there" "$(field outcome.code)" complete
ask drain soon
equal "that body" "$answer" "$((2 << 20)) $(sum_of small)"
file=middle
for name in never parked; do
    ask waited $name
    equal "the outcome of the other" "$(field outcome.code)" serviceStopped
    delivered=$(field bytesDelivered)
    ask drain $name
    equal "what it got" "$answer" "$delivered $(sum_of $file "$delivered")"
    file=other
done
systemctl start sluiced.socket $unit
for name in never parked; do
    ask show $name
    equal "its outcome after the next start" "$(field outcome.code)" serviceStopped
done
stop_rider
finish
