#!/bin/bash
# Failure drills with the network and the clock: there is no network at the start, names cannot be resolved for a while,
# the time of day is set. The network here is a loopback of the test's own; only the service has the changed clock.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
# shellcheck source=torture/jobs.sh
source "$1/Tests/System/torture/jobs.sh"
install_sluice
settings <<'TOML'
[lanes]
minimum = 1
maximum = 8
[timeouts]
connect_seconds = 2
silence_seconds = 2
[retries]
retries = 100
base_seconds = 0.2
longest_seconds = 0.5
[gate]
stalled_after_seconds = 0.2
[parking]
after_seconds = 2
TOML
drop_in quick <<< $'[Service]\nRestartSec=200ms\nWatchdogSec=2'
start_origin
start_gate
make_body small 100K
make_body middle 8M
make_body long 20M

# attempted NAME CODE: whether an attempt of the job has ended with this code.
attempted() {
    ask show "$1"
    [[ $answer == *"\"code\": \"$2\""* ]]
}
# same_process: the service was not restarted.
same_process() { equal "the daemon" "$(main)" "$daemon"; }

# ---- no network ------------------------------------------------------------

it "without a network the service starts, says READY and takes jobs"
ip link set lo down
systemctl start $unit
daemon=$(main)
client call Status > /dev/null
start_rider
ask fetch early "$origin/middle"
ask fetch named "http://origin.example:8080/small"
# No loopback has this one (RFC 5737).
elsewhere=http://192.0.2.1/
ask fetch hasty $elsewhere '{"retries":1}'
ask fetch bounded $elsewhere '{"deadlineSeconds":5}'
ask fetch patient $elsewhere

it "its jobs try again, and those that may not try again fail with a message"
eventually 10 attempted early connectTimeout
eventually 10 attempted named nameNotResolved
eventually 10 attempted patient connectFailed
ask wait hasty
equal "the outcome" "$(field outcome.code)" connectFailed
contains "its sentence" "$(field outcome.message)" "192.0.2.1"
# The deadline passes either between two attempts or during one.
ask wait bounded
[[ $(field outcome.code) =~ ^(connectFailed|deadlineExceeded)$ ]] || fail "$answer"
contains "its sentence" "$(field outcome.message)" "192.0.2.1"
in_state early "waiting connecting queued" || fail "$answer"
trying() { [[ $(property $unit StatusText) == *"waiting to try again"* ]]; }
eventually 5 trying
ask close patient

it "when the network comes up the jobs complete, and nothing was restarted"
ip link set lo up
whole early middle
same_process

# ---- names -----------------------------------------------------------------

# A copy of the file that names the name servers, which belongs to the test as long as the container exists.
name_server=127.0.0.53
printf 'nameserver %s\noptions timeout:1 attempts:1\n' $name_server > "$scratch/resolv.conf"
rm -f /etc/resolv.conf
install -m 644 "$scratch/resolv.conf" /etc/resolv.conf
names_up() {
    systemd-run --quiet --unit=names --collect -p Type=exec \
        python3 "$repository/Tests/System/torture/names.py" $name_server 127.0.0.1
    eventually 10 names_are_up
}
names_are_up() { ss --no-header --listening --udp "src $name_server:53" | grep . > /dev/null; }
names_down() { systemctl stop names.service; }

it "jobs survive name servers that are away, and one that was requested before there was a network is whole"
eventually 10 attempted named nameNotResolved
names_up
whole named small

it "a body that is cut while names cannot be resolved continues when they can"
ask fetch steady "http://origin.example:8080/slow/middle"
ask pace steady $((20 << 20))
eventually 10 in_state steady streaming
names_down
# Another lane, which has not looked up the name before.
kill -KILL "$(field laneProcessID)"
eventually 20 attempted steady nameNotResolved
ask fetch late "http://late.example:8080/small"
eventually 20 attempted late nameNotResolved
names_up
whole late small
ask stop steady
whole steady middle
same_process

it "the network goes away in mid-body and comes back"
ask fetch cut "http://origin.example:8080/slow/middle"
ask pace cut $((20 << 20))
eventually 10 in_state cut streaming
ip link set lo down
eventually 20 attempted cut silenceTimeout
ip link set lo up
ask stop cut
whole cut middle
same_process
names_down

# ---- the clock -------------------------------------------------------------

# The test must not set the machine's clock: the service and its lanes get one of their own (clock.c).
clock_file=/etc/sluice/clock
clock_library=/usr/libexec/sluice/clock.so
gcc -Wall -Werror -O1 -shared -fPIC -o $clock_library "$repository/Tests/System/torture/clock.c"
# jump SECONDS: sets the clock to the true time plus this.
jump() {
    python3 -c 'import struct, sys
with open(sys.argv[1], "r+b") as file: file.write(struct.pack("=q", int(sys.argv[2])))' $clock_file "$1"
}
# told FIELD: a time that the job reports, in seconds from now on.
told() { python3 -c 'import sys, time; print(round(int(sys.argv[1]) / 1e6 - time.time()))' "$(field "$1")"; }
# about WHAT IS SHOULD: the two agree within a minute.
about() { [ "$2" -gt $(($3 - 60)) ] && [ "$2" -lt $(($3 + 60)) ] || fail "$1: $2 s instead of $3 s"; }

it "a clock that jumps by hours, forward and back, ends no job, and restarts nothing"
head -c 8 /dev/zero > $clock_file
chmod 644 $clock_file
drop_in clock <<< "[Service]
Environment=LD_PRELOAD=$clock_library CLOCK_FILE=$clock_file"
systemctl restart $unit
daemon=$(main)
rm -f "$scratch/www/sign" "$scratch/www/busy" "$scratch/www/flow"
# Runs as long as the other steps take, however slow the machine is.
ask fetch running "$gate/trickle/flow/long" '{"deadlineSeconds":120}'
ask pace running $((20 << 20))
ask fetch parked "$origin/middle" '{"deadlineSeconds":120}'
ask fetch held "$gate/hold/sign/small" '{"deadlineSeconds":120,"connectTimeoutSeconds":60}'
ask fetch waiting "$gate/busy/busy/small" '{"deadlineSeconds":120}'
eventually 10 in_state running streaming
eventually 10 in_state parked parked
eventually 10 in_state waiting waiting
kept
hour=3600
for offset in $((5 * hour)) $((-30 * hour)) $((1000 * hour)); do
    jump $offset
    ask fetch new "$origin/small"
    whole new small
    for time in createdUsec startedUsec finishedUsec; do about "the new job's $time" "$(told $time)" $offset; done
    # Longer than the stall timeout, and than the watchdog's time.
    sleep 2.5
    for name in running:streaming parked:parked held:connecting; do
        in_state "${name%:*}" "${name#*:} stalled" || fail "${name%:*} after a jump by $offset s: $answer"
    done
    same_process
done
touch "$scratch/www/sign" "$scratch/www/busy" "$scratch/www/flow"
ask stop running
whole running long
whole parked middle
whole held small
whole waiting small
same_process
equal "restarts" "$(property $unit NRestarts)" 0

it "a restart of the service after a jump leaves jobs the time that they had"
jump 0
ask fetch rides "$origin/middle" '{"deadlineSeconds":60}'
eventually 10 in_state rides parked
ask fetch ends "$gate/hold/never/small" '{"deadlineSeconds":12,"connectTimeoutSeconds":60}'
eventually 10 in_state ends connecting
kept
jump $((2 * hour))
kill_daemon
back "$daemon"
in_state rides parked || fail "$answer"
whole rides middle
# Its deadline counts seconds that pass, whatever the time of day is.
ask wait ends
equal "the outcome of one whose time is over" "$(field outcome.code)" deadlineExceeded
duration=$(journalctl --no-pager -q -o json SLUICE_JOB="$(field id)" MESSAGE_ID="$(message_id jobFailed)" \
    | sed -n 's/.*"SLUICE_DURATION_USEC":"\([-0-9]*\)".*/\1/p')
[ "$duration" -gt 11000000 ] || fail "the journal says that it took $duration µs"
sooner "the end of a job by its deadline" $((duration / 1000)) 40000
jump -$((9 * hour))
in_state ends failed || fail "$answer"
contains "sluicectl show" "$(as member sluicectl --socket $system_socket show "$(field id)")" "deadline"
as member sluicectl --socket $system_socket list > /dev/null
systemctl stop $unit
stop_rider
finish
