#!/bin/bash
# The descriptors that the service manager kept for the service are damaged, foreign or incomplete: the jobs that can
# continue do, and the journal reports the others.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
# shellcheck source=torture/jobs.sh
source "$1/Tests/System/torture/jobs.sh"
install_sluice
settings <<'TOML'
[parking]
after_seconds = 0.5
TOML
drop_in damaged <<'UNIT'
[Service]
RestartSec=200ms
# Any process in the service's control group may put a descriptor into the store.
NotifyAccess=all
UNIT
start_origin
make_body middle 8M
make_body other 8M
systemctl start sluiced.socket $unit
start_rider

stash() { python3 "$repository/Tests/System/torture/stash.py" "$(main)" "$@"; }
# memory NAME: the inodes of the memory files of this name that the service manager keeps; and a path to one of them.
# PID 1 opens and closes other descriptors meanwhile, of which find then complains.
of_the_manager() { find /proc/1/fd -lname "*memfd:$1*" -exec stat -L -c "$2" {} + 2> /dev/null || :; }
memory() { of_the_manager "$1" %i | sort -u; }
memory_path() { of_the_manager "$1" '%i %n' | sed -n "s/^$2 //p" | head -n 1; }

# The names under which the service got descriptors at its start.
names() {
    tr '\0' '\n' < "/proc/$(main)/environ" | sed -n 's/^LISTEN_FDNAMES=//p' | tr : '\n' | grep -v varlink | sort -u
}

# damage NAME BYTES OUTCOME: writes nonsense over the memory file of this name of one of two parked jobs.
damage() {
    local before inode code
    before=$(memory "$1")
    ask fetch damaged "$origin/middle"
    eventually 10 in_state damaged parked
    kept
    inode=$(comm -13 <(echo "$before") <(memory "$1") | grep .)
    ask fetch healthy "$origin/other"
    eventually 10 in_state healthy parked
    kept
    before=$(main)
    head -c "$2" /dev/zero | tr '\0' '\377' | dd of="$(memory_path "$1" "$inode")" conv=notrunc status=none
    kill_daemon
    back "$before"
    logged restoreFailed _PID="$(main)" || fail "the journal does not report it"
    whole healthy other
    ask wait damaged
    code=${answer/\{*/$(field outcome.code)}
    equal "the outcome of the damaged one" "$code" "$3"
    exact_prefix damaged middle
}

it "a damaged ledger fails its own job with a message, and no other job"
damage sluice-ledger 4096 deliveryUncertain

it "a damaged record fails its own job with a message, and no other job"
damage sluice-job 4096 NoSuchJob

it "foreign descriptors are dropped, also under the name of a job"
ask fetch healthy "$origin/middle"
eventually 10 in_state healthy parked
kept
before=$(main)
kill_daemon
back "$before"
rest=$(stored)
name=$(names | head -n 1)
echo "     $rest descriptors are kept for one job, under the name $name"
coproc STASH { stash zz9 file pipe socket event memory sealed; }
stash_pid=$STASH_PID
read -r said <&"${STASH[0]}"
equal "the stash" "$said" stashed
stash "no-name-of-ours" memory sealed
[ "$(stored)" -gt "$rest" ] || fail "nothing was stored"
before=$(main)
kill_daemon
back "$before"
eventually 5 is_property $unit NFileDescriptorStore "$rest"
stash "$name" sealed memory
before=$(main)
kill_daemon
back "$before"
if in_state healthy parked; then
    whole healthy middle
else
    # The service cannot tell which of the two is the job's, and reports this.
    equal "the outcome of a job with two ledgers" "$(field outcome.code)" deliveryUncertain
    exact_prefix healthy middle
fi
stash_in=${STASH[1]}
exec {stash_in}>&-
wait $stash_pid || :

it "a job that was taken out of the store ends for its consumer too, and the service continues"
ask fetch lost "$origin/middle"
eventually 10 in_state lost parked
ask fetch healthy "$origin/other"
eventually 10 in_state healthy parked
kept
before=$(main)
kill_daemon
back "$before"
name=$(names | head -n 1)
stash "$name" remove
before=$(main)
kill_daemon
back "$before"
lost=0
for pair in "lost middle" "healthy other"; do
    read -r job file <<< "$pair"
    ask show "$job"
    if [ "$answer" = NoSuchJob ]; then
        lost=$((lost + 1))
        exact_prefix "$job" "$file"
    else
        whole "$job" "$file"
    fi
done
equal "the lost jobs" $lost 1

it "at rest nothing is left"
is_empty() { [ "$(stored)" = 0 ]; }
eventually 10 is_empty
systemctl stop sluiced.socket $unit
equal lanes "$(lanes)" ""
stop_rider
finish
