#!/bin/bash
# What systemd promises of its descriptor store, and where the promises end: a restart of the service relies on all of it.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
probe=$repository/.build/debug/systemd-probe
units=/etc/systemd/system
mkfifo "$scratch/control"

# unit NAME [LINE-OF-SERVICE...]: creates and starts a service that stores what the test tells it to store.
unit() {
    {
        printf '[Unit]\n%s\n' "${start_limit-StartLimitIntervalSec=0}"
        printf '[Service]\nType=notify\nExecStart=%s keeper %s\n' "$probe" "$scratch"
        printf 'Restart=on-failure\nRestartSec=50ms\nKillMode=mixed\nEnvironment=SWIFT_BACKTRACE=enable=no\n'
        printf '%s\n' "${@:2}"
    } > "$units/$1.service"
    systemctl daemon-reload
    name=$1.service
    begin
}
name=
# begin: starts the unit of that name, empty.
begin() {
    rm -f "$scratch/report" "$scratch/answer"
    systemctl start "$name"
}
done_with_unit() {
    systemctl stop "$name" 2> /dev/null || :
    systemctl reset-failed "$name" 2> /dev/null || :
    rm "$units/$name"
}
# ask COMMAND...: prints the service's answer.
answered() { [ -e "$scratch/answer" ]; }
ask() {
    rm -f "$scratch/answer"
    echo "$*" > "$scratch/control"
    eventually 120 answered
    cat "$scratch/answer"
}
tell() { equal "answer to '$*'" "$(ask "$@")" sent; }
# settle: waits until the manager has processed all messages.
settle() { equal "answer to a barrier" "$(ask barrier)" answered; }
fill() { contains "answer to 'fill $*'" "$(ask fill "$@")" filled; }
main() { property "$name" MainPID; }
stored() { property "$name" NFileDescriptorStore; }
# crash: kill -9; waits until the next process has reported what it found.
reported() { [ -e "$scratch/report" ] && [ "$(property "$name" ActiveState)" = active ]; }
crash() {
    rm -f "$scratch/report"
    kill -KILL "$(main)"
    eventually 60 reported
}
# crash_for_good: kill -9; waits until the manager has tried repeatedly to start the service, and cannot.
refused() { [ "$(property "$name" NRestarts)" -ge 3 ] && [ ! -e "$scratch/report" ]; }
crash_for_good() {
    rm -f "$scratch/report"
    kill -KILL "$(main)"
    eventually 30 refused
}
# found LINE: the service found this when it started.
found() { grep -qxF -- "$1" "$scratch/report" || fail "no '$1' in: $(cat "$scratch/report")"; }
found_none_of() { ! grep -q "^$1:" "$scratch/report" || fail "a '$1' in: $(cat "$scratch/report")"; }
# manager_said PATTERN: checks the manager's messages about the unit, including those of a process that should have become
# the service and ended before journald could know its unit.
manager_said() { journalctl --no-pager -q -o cat -b | grep -- "^$name: .*$1" > /dev/null; }

unit keeper FileDescriptorStoreMax=100 WatchdogSec=30

it "one message with several descriptors stores all of them under one name"
tell store a1 staging ledger the-record socket
settle
equal stored "$(stored)" 4

it "they come back after kill -9, with what is in them"
crash
# Its peer died with the process: the manager drops a socket whose peer has hung up.
orphaned='a1: counterPage pipeBothEnds recordFile the-record'
found "count 3"
found "$orphaned"

it "they come back after a restart, a watchdog's signal, a re-execution of the manager and a daemon-reload"
rm "$scratch/report"
systemctl restart "$name"
found "$orphaned"
rm "$scratch/report"
kill -ABRT "$(main)"
eventually 20 reported
found "$orphaned"
systemctl daemon-reexec
equal "stored after daemon-reexec" "$(stored)" 3
crash
found "$orphaned"
systemctl daemon-reload
crash
found "$orphaned"

it "systemctl stop drops them"
systemctl stop "$name"
equal stored "$(stored)" 0
begin
found "count 0"

it "they come without FD_CLOEXEC, and in no reliable order"
equal answer "$(ask groups 24)" filled
equal stored "$(stored)" 96
crash
found "count 96"
found "not close-on-exec 96"
orders=$(sed -n 's/^orders of four //p' "$scratch/report")
[ "$orders" -gt 1 ] || fail "all 24 groups of four came in the same order"
systemctl stop "$name"
begin

it "FDSTOREREMOVE closes all of that name and nothing else"
tell store a1 staging ledger one
tell store a2 staging ledger two
tell remove a1
settle
equal stored "$(stored)" 3
crash
found 'a2: counterPage pipeBothEnds recordFile two'
found_none_of a1

it "a descriptor that is stored again is not kept twice, and keeps its first name"
tell store a3 three
tell store a4 again
settle
equal stored "$(stored)" 4
crash
found 'a3: recordFile three'
found_none_of a4

it "a pipe whose reader goes away is dropped at once, and the other descriptors stay"
systemctl stop "$name"
begin
tell store b1 pipe ledger the-record
settle
equal stored "$(stored)" 3
equal answer "$(ask close b1)" closed
eventually 5 is_property "$name" NFileDescriptorStore 2
crash
found 'b1: counterPage recordFile the-record'

it "the same while the service is down, and a reader that is kept keeps the pipe"
tell store b2 pipe ledger two
# Its read end is in the store as well: the next process gets it.
tell store b3 pipe reader ledger
settle
crash
found 'b2: counterPage recordFile two'
found 'b3: counterPage pipeReadEnd pipeWriteEnd'

it "a barrier is answered when all earlier descriptors are stored: then a kill loses nothing"
for round in 1 2 3; do
    systemctl stop "$name"
    begin
    rm "$scratch/report"
    echo "fill-and-die 90" > "$scratch/control"
    eventually 20 reported
    found "count 90"
done
done_with_unit

it "past FileDescriptorStoreMax new descriptors are dropped, also a part of a message, and stored ones stay"
unit small FileDescriptorStoreMax=10
fill 8
tell store zzzz staging ledger two three
settle
equal stored "$(stored)" 10
manager_said 'Cannot store more fds than FileDescriptorStoreMax=10' || fail "nothing in the journal"
crash
found "count 10"
grep -q '^zzzz: ' "$scratch/report" || fail "nothing of the message of four: $(cat "$scratch/report")"
tell remove 0000
tell store yyyy ledger
settle
equal "stored when there is room again" "$(stored)" 10
done_with_unit

it "only the service's main process may store if the unit sets NotifyAccess=main"
unit guarded FileDescriptorStoreMax=10 NotifyAccess=main "ExecStartPost=-/usr/bin/env NOTIFY_SOCKET=/run/systemd/notify $probe notify-store"
settle
equal stored "$(stored)" 0
manager_said 'reception only permitted for main PID' || fail "nothing in the journal"
done_with_unit

it "a soft limit of descriptors below the number stored keeps the service from ever starting again"
unit narrow FileDescriptorStoreMax=2000 LimitNOFILE=1024:524288
fill 1100
crash_for_good
manager_said 'Failed at step FDS ' || fail "for another reason"
equal "stored meanwhile" "$(stored)" 1100
# Corrected while the manager keeps trying: nothing is lost.
sed -i 's/^LimitNOFILE=.*/LimitNOFILE=5024/' "$units/$name"
systemctl daemon-reload
eventually 30 reported
found "count 1100"
done_with_unit

it "with many descriptors, their number and 1,024 are not enough either: to order them systemd needs half that number more"
unit narrower FileDescriptorStoreMax=4000 LimitNOFILE=5024
fill 4000
crash_for_good
manager_said 'Failed at step FDS ' || fail "for another reason"
equal "stored meanwhile" "$(stored)" 4000
# The manager compares each descriptor with all others at a daemon-reload, as it did when they were stored.
sed -i 's/^LimitNOFILE=.*/LimitNOFILE=9024/' "$units/$name"
began=$(milliseconds)
systemctl daemon-reload
echo "a daemon-reload with 4,000 stored descriptors takes $(($(milliseconds) - began)) ms"
eventually 60 reported
found "count 4000"
done_with_unit

it "twice FileDescriptorStoreMax and 1,024 are enough for a store that is full, with 8,192 names of four characters"
unit wide FileDescriptorStoreMax=8192 LimitNOFILE=17408
fill 8192
equal stored "$(stored)" 8192
crash
found "count 8192"
found "not close-on-exec 8192"
done_with_unit

it "3,600 names of forty are not handed over: the service never starts again, until its store is dropped"
unit long FileDescriptorStoreMax=9000 LimitNOFILE=20000
fill 3600 40
equal stored "$(stored)" 3600
crash_for_good
manager_said 'Argument list too long' || fail "for another reason"
equal "stored meanwhile" "$(stored)" 3600
systemctl stop "$name"
begin
found "count 0"
done_with_unit

it "without a start limit the store survives a loop of crashes"
unit looping FileDescriptorStoreMax=100
tell store c1 staging ledger kept
settle
for ((round = 0; round < 12; round++)); do crash; done
found 'c1: counterPage pipeBothEnds recordFile kept'
done_with_unit

it "with the default start limit it does not: the service stays down, and the store is gone"
start_limit='' unit limited FileDescriptorStoreMax=100
tell store c1 staging ledger lost
settle
crash_again() {
    ! manager_said 'Start request repeated too quickly' || return 0
    systemctl kill --kill-who=main --signal=KILL "$name" 2> /dev/null || :
    return 1
}
eventually 20 crash_again
equal state "$(property "$name" ActiveState)" failed
equal stored "$(stored)" 0
systemctl reset-failed "$name"
begin
found "count 0"
done_with_unit
finish
