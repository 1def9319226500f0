#!/bin/bash
# alone: it measures memory and processes
# What the unit sets for processors, memory and traffic, and that a service above MemoryHigh= still answers.
# with-systemd: WITH_SYSTEMD_CGROUP=unified
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
unit=sluiced.service
install_sluice
start_origin
truncate -s 512M "$scratch/www/large"

it "the unit sets a weight for processors, counts traffic and has two bounds of memory"
systemctl start $unit
equal CPUWeight "$(property $unit CPUWeight)" 100
equal IPAccounting "$(property $unit IPAccounting)" yes
high=$(property $unit MemoryHigh)
[ "$high" -lt "$(property $unit MemoryMax)" ] || fail "MemoryHigh is $high"
equal LogRateLimitBurst "$(property $unit LogRateLimitBurst)" 1000000

it "above MemoryHigh= the service answers, and feeds its watchdog"
group=/sys/fs/cgroup$(property $unit ControlGroup)
if [ ! -e "$group/memory.high" ]; then
    current=
    echo "NOT TESTED: this machine has no memory controller of version 2 for the container"
    finish
    exit 0
fi
drop_in memory <<< $'[Service]\nMemoryHigh=48M\nWatchdogSec=5'
systemctl restart $unit
main=$(property $unit MainPID)
coproc HOLD { as member python3 "$repository/Tests/System/client.py" $system_socket hold 32 "$origin/large"; }
holder=$HOLD_PID
read -r said <&"${HOLD[0]}"
equal "the holder" "$said" held
above() { [ "$(awk '$1 == "high" { print $2 }' "$group/memory.events")" -gt 0 ]; }
eventually 30 above
longest=0
for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do
    began=$(milliseconds)
    client call Status > /dev/null
    took=$(($(milliseconds) - began))
    [ $took -le $longest ] || longest=$took
    sleep 1
done
echo "memory.high was exceeded $(awk '$1 == "high" { print $2 }' "$group/memory.events") times; Status took $longest ms at most"
sooner Status $longest 3000
equal restarts "$(property $unit NRestarts)" 0
equal "the daemon" "$(property $unit MainPID)" "$main"
hold_in=${HOLD[1]}
exec {hold_in}>&-
wait "$holder" || :
finish
