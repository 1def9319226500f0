#!/bin/bash
# alone: it counts the pipe buffers of all the service's users, which are one kernel user's
# Many consumers that never read, and one more that runs at full speed: as the service's own, unprivileged user, whose
# pipe buffers the kernel counts.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
install_sluice
start_origin
truncate -s 512M "$scratch/www/large"
systemctl start sluiced.service
member() { as member python3 "$repository/Tests/System/client.py" $system_socket "$@"; }
stalled() { [ "$(member call List | grep -o '"state": "stalled"' | wc -l)" = "$1" ]; }
# The time of a drain, in milliseconds; the best of three, because other processes may use the machine.
drain_time() {
    local best=999999999 count seconds took
    for _ in 1 2 3; do
        read -r count seconds _ <<< "$(member drain "$origin/large")"
        equal bytes "$count" $((512 << 20))
        took=$(python3 -c "print(int(float('$seconds') * 1000))")
        [ "$took" -ge "$best" ] || best=$took
    done
    echo "$best"
}

it "the limit is the kernel's for an ordinary user"
equal user "$(stat -c %U "/proc/$(property sluiced.service MainPID)")" sluice
echo "fs.pipe-user-pages-soft is $(cat /proc/sys/fs/pipe-user-pages-soft)"
alone=$(drain_time)

it "64 jobs whose consumers never read come to rest"
coproc HOLD { member hold 64 "$origin/large"; }
holder=$HOLD_PID
read -r said <&"${HOLD[0]}"
equal "the holder" "$said" held
eventually 60 stalled 64

it "a 65th runs at full speed beside them"
beside=$(drain_time)
echo "512 MiB alone: $alone ms; beside 64 stalled jobs: $beside ms"
# Past the budget it would have 0.15 of the speed. The tolerance is for the noise of a shared machine.
[ $((beside * 10)) -le $((alone * 16)) ] || fail "it is slower than 0.6 of its speed alone"
stalled 64 || fail "the stalled jobs did not stay stalled"

it "their memory stays within the watermarks"
total=0
count=0
for lane in $(pgrep -u sluice -x sluice-lane); do
    count=$((count + 1))
    private=$(awk '/^Private_(Clean|Dirty)/ { kib += $2 } END { print kib }' "/proc/$lane/smaps_rollup")
    total=$((total + private))
done
echo "$count lanes: $((total / 1024)) MiB of private memory"
# Some 3 MiB of each lane's own, the high watermark, one gather and one receive buffer; 8 leaves room for a debug build.
[ $((total / 1024)) -lt $((count * 8)) ] || fail "that is more than 8 MiB each"

it "when the consumers are gone, so are their jobs"
hold_in=${HOLD[1]}
exec {hold_in}>&-
wait "$holder" || :
eventually 15 stalled 0
finish
