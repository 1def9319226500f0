#!/bin/bash
# alone: it measures delays
# Failure drills: faults that an administrator will meet some day, caused on purpose. Each fault affects only its own part
# and is reported, and the service recovers by itself. restart.sh tests that jobs survive a kill and a hang of the daemon.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
# shellcheck source=torture/jobs.sh
source "$1/Tests/System/torture/jobs.sh"
install_sluice
settings <<'TOML'
[lanes]
minimum = 1
maximum = 4
[parking]
after_seconds = 0.5
[restart]
drain_seconds = 1
TOML
drop_in quick <<< $'[Service]\nRestartSec=200ms'
lane=/usr/libexec/sluice/sluice-lane
start_origin
make_body small 100K
make_body middle 8M
make_body other 8M

# fetches [SECONDS]: the body of a new job arrives whole within the time.
fetches() {
    local got
    got=$(as member timeout "${1:-20}" sluicectl --socket $system_socket fetch --quiet "$origin/small" | sha256sum)
    equal "the body of a new job" "${got%% *}" "$(sum_of small)"
}
# cursor, and said_since: the service's messages from a place in its journal on. (With another filter than the one
# that the cursor was found with, journalctl would skip an entry.)
cursor() { journalctl --no-pager -q -n 1 --show-cursor -u $unit | sed -n 's/^-- cursor: //p'; }
said_since() { journalctl --no-pager -q -o cat -u $unit --after-cursor="$1"; }
says_since() { said_since "$1" | grep -F -- "$2" > /dev/null; }
# entries_since CURSOR CASE, and count_since: the entries of one kind.
entries_since() {
    journalctl --no-pager -q -o json -u $unit --after-cursor="$1" | grep -F "\"MESSAGE_ID\":\"$(message_id "$2")\"" || :
}
count_since() { entries_since "$1" "$2" | wc -l; }

# ---- the process -----------------------------------------------------------

it "a client that comes while the daemon hangs is served when the watchdog has replaced the daemon"
drop_in watchdog <<< $'[Service]\nWatchdogSec=1'
systemctl start sluiced.socket $unit
kill -STOP "$(main)"
fetches 30
eventually 10 is_property $unit ActiveState active
equal "the restarts" "$(property $unit NRestarts)" 1
drop_out watchdog

it "a daemon that is killed repeatedly comes back each time, and a job continues through all of it"
systemctl restart $unit
start_rider
ask fetch steady "$origin/middle"
eventually 10 in_state steady parked
kept
for _ in 1 2 3 4 5 6 7 8; do
    before=$(main)
    kill_daemon
    back "$before"
done
whole steady middle

# ---- the state directory ---------------------------------------------------

# known NAME...: the service knows how these jobs ended.
known() {
    for name in "$@"; do
        ask show "$name"
        equal "the outcome of $name" "$(field outcome.code)" complete
    done
}

it "a full disk is reported once; jobs continue, and their outcomes are kept as soon as there is room"
systemctl stop $unit 2> /dev/null
mount -t tmpfs -o "size=64k,mode=700,uid=$(id -u sluice),gid=$(id -g sluice)" tmpfs /var/lib/sluice
systemctl start $unit
from=$(cursor)
dd if=/dev/zero of=/var/lib/sluice/filler bs=4k status=none 2> /dev/null || :
names=
for number in $(seq 30); do
    ask fetch "disk$number" "$origin/small"
    whole "disk$number" small
    names+=" disk$number"
done
times_said() { said_since "$from" | grep -c "outcomes cannot be kept for a restart" || :; }
equal "how often it was said" "$(times_said)" 1
contains "the entry" "$(entries_since "$from" outcomesNotKept)" "No space left on device"
rm /var/lib/sluice/filler
ask fetch room "$origin/small"
whole room small
eventually 5 says_since "$from" "outcomes are kept again"
equal "how often it was said" "$(times_said)" 1
before=$(main)
kill_daemon
back "$before"
# shellcheck disable=SC2086
known $names room

it "the service starts with a full disk"
dd if=/dev/zero of=/var/lib/sluice/filler bs=4k status=none 2> /dev/null || :
systemctl restart $unit
fetches
systemctl stop $unit 2> /dev/null
umount /var/lib/sluice

it "on a read-only root file system it starts, reports what is missing, and works"
drop_in readonly <<< $'[Service]\nReadOnlyPaths=/'
mount --bind /var/lib/sluice /var/lib/sluice
mount -o remount,bind,ro /var/lib/sluice
from=$(cursor)
systemctl start $unit
eventually 5 says_since "$from" "Read-only file system"
equal "how often it was said" "$(times_said)" 1
fetches
before=$(main)
ask fetch readonly "$origin/middle"
eventually 10 in_state readonly parked
kept
kill_daemon
back "$before"
whole readonly middle
systemctl stop $unit 2> /dev/null
umount /var/lib/sluice
drop_out readonly

it "without a state directory it works, and reports what is missing"
drop_in stateless <<< $'[Service]\nStateDirectory='
from=$(cursor)
systemctl start $unit
fetches
eventually 5 says_since "$from" "no state directory"
systemctl stop $unit 2> /dev/null
drop_out stateless

# ---- the settings ----------------------------------------------------------

it "SIGHUP with settings that are broken in any way changes nothing, and the log gives the reason"
systemctl start $unit
file=/etc/sluice/sluiced.toml
cp $file "$scratch/good.toml"
before=$(main)
limit() { python3 -c 'import json, sys; print(json.load(sys.stdin)["lanes"]["limit"])' <<< "$(client call Status)"; }
# broken MESSAGE
broken() {
    local from entry
    from=$(cursor)
    if systemctl reload $unit 2> /dev/null; then fail "the reload succeeded"; fi
    eventually 5 says_since "$from" "$1"
    entry=$(entries_since "$from" settingsRejected)
    contains "the entry" "$entry" '"PRIORITY":"3"'
    contains "the entry" "$entry" "$file"
    equal "the lanes there may be" "$(limit)" 4
    equal "the daemon" "$(main)" "$before"
    equal "its state" "$(property $unit ActiveState)" active
}
printf '[lanes]\nmaximum = "many"\n' > $file
broken "lanes.maximum: it is not a whole number"
printf '[lanes\nmaximum = 2\n' > $file
broken "line 1"
printf '[lanes]\nmaximum = 2\n[nonsense]\nkey = 1\n' > $file
broken "nonsense"
head -c 4096 /dev/urandom > $file
broken "it is not UTF-8"
head -c 2M /dev/zero | tr '\0' '#' > $file
broken "it is larger than"
rm $file
broken "there is no such file"
mkdir $file
broken "it is not a regular file"
rmdir $file
mkfifo $file
broken "it is not a regular file"
rm $file
ln -s /dev/zero $file
broken "it is not a regular file"
rm $file
cp "$scratch/good.toml" $file
chmod 600 $file
broken "permission denied"
chmod 644 $file
fetches
printf '[lanes]\nmaximum = 3\n' > $file
from=$(cursor)
systemctl reload $unit
eventually 5 says_since "$from" "settings read again"
equal "the lanes there may be, with good settings" "$(limit)" 3
cp "$scratch/good.toml" $file
systemctl reload $unit

it "a service that is restarted with broken settings does not start, and continues its jobs when they are corrected"
ask fetch patient "$origin/middle"
eventually 10 in_state patient parked
kept
printf '[lanes]\nmaximum = "many"\n' > $file
from=$(cursor)
if systemctl restart $unit 2> /dev/null; then fail "it started"; fi
eventually 5 says_since "$from" "lanes.maximum: it is not a whole number"
eventually 5 is_property $unit ExecMainStatus 78
cp "$scratch/good.toml" $file
back 0
whole patient middle
systemctl stop $unit sluiced.socket 2> /dev/null

# ---- the socket ------------------------------------------------------------

# second STATUS SENTENCE: another daemon for the same socket refuses with both, and the first one is not affected.
second() {
    local inode before said status=0
    inode=$(stat -c %i $system_socket)
    before=$(main)
    said=$(as sluice sluiced --socket $system_socket 2>&1) || status=$?
    equal "the second's exit status" "$status" "$1"
    contains "what the second says" "$said" "$2"
    equal "the socket" "$(stat -c %i $system_socket)" "$inode"
    equal "the daemon" "$(main)" "$before"
}
it "a second daemon on the socket refuses, and does not affect the first one and its socket"
systemctl start $unit
second 69 "another process already listens on $system_socket"
fetches
systemctl stop $unit 2> /dev/null

it "it also refuses if systemd owns the socket, and if the first one hangs"
systemctl start sluiced.socket $unit
second 69 "another process already listens on $system_socket"
kill -STOP "$(main)"
second 69 "another process already listens on $system_socket"
kill -CONT "$(main)"
fetches
systemctl stop $unit 2> /dev/null
# No daemon runs, but systemd owns the socket: a connection starts the daemon that it belongs to.
inode=$(stat -c %i $system_socket)
status=0
said=$(as sluice sluiced --socket $system_socket 2>&1) || status=$?
contains "what the second says" "$said" "another process already listens on $system_socket"
equal "its exit status" $status 69
equal "the socket" "$(stat -c %i $system_socket)" "$inode"
fetches
systemctl stop $unit sluiced.socket 2> /dev/null

# wrong SENTENCE [LINE OF SOCKET...]: a socket unit with these lines is refused.
wrong() {
    local from
    from=$(cursor)
    install -d /run/systemd/system/sluiced.socket.d
    printf '%s\n' '[Socket]' ListenStream= "${@:2}" > /run/systemd/system/sluiced.socket.d/wrong.conf
    systemctl daemon-reload
    systemctl start sluiced.socket
    if systemctl start $unit 2> /dev/null; then fail "it started with ${*:2}"; fi
    eventually 5 says_since "$from" "$1"
    contains "the remedy" "$(said_since "$from")" "give the socket unit"
    [ "$(count_since "$from" listenFailed)" -gt 0 ] || fail "no entry of the kind listenFailed"
    eventually 5 is_property $unit ExecMainStatus 69
    systemctl stop $unit sluiced.socket 2> /dev/null
    rm /run/systemd/system/sluiced.socket.d/wrong.conf
    systemctl daemon-reload
}
it "sockets of a wrong type are refused, each with its type and the remedy"
wrong "is a datagram socket of the family AF_UNIX" ListenDatagram=$system_socket
wrong "is a seqpacket socket of the family AF_UNIX" ListenSequentialPacket=$system_socket
wrong "is a stream socket of the family AF_INET, listening" ListenStream=127.0.0.1:9099
wrong "is a datagram socket of the family AF_INET" ListenDatagram=127.0.0.1:9099
wrong "is a FIFO" ListenFIFO=/run/sluice/fifo
wrong "is a datagram socket" ListenStream=$system_socket ListenDatagram=/run/sluice/other

it "a connection in place of a listening socket (Accept=yes) is refused, too"
sed '/^\[Install\]/,$d' "$(property $unit FragmentPath)" > /run/systemd/system/sluiced@.service
printf '[Socket]\nAccept=yes\n' > /run/systemd/system/sluiced.socket.d/wrong.conf
systemctl daemon-reload
systemctl start sluiced.socket
python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)' $system_socket
instance_says() { journalctl --no-pager -q -o cat -b -t sluiced | grep "is a stream socket of the family AF_UNIX, not listening.*Accept=no" > /dev/null; }
eventually 10 instance_says
systemctl stop sluiced.socket 'sluiced@*.service'
rm /run/systemd/system/sluiced.socket.d/wrong.conf /run/systemd/system/sluiced@.service
systemctl daemon-reload
systemctl start sluiced.socket $unit
fetches

# ---- the journal -----------------------------------------------------------

it "a journald that is restarted, or stopped, or hangs does not delay the service"
journald=(systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket systemd-journald.service)
systemctl restart systemd-journald.service
fetches
before=$(main)
systemctl stop "${journald[@]}" 2> /dev/null
for _ in 1 2 3; do fetches 10; done
systemctl start "${journald[@]:0:2}" systemd-journald.service
fetches
ask fetch logged "$origin/small"
whole logged small
ask show logged
eventually 10 logged jobComplete SLUICE_JOB="$(field id)"
# many: more jobs, one after the other, than journald's socket has room for entries; sets $took.
body="$(stat -c %s "$scratch/www/small") $(sum_of small)"
many() {
    local began
    began=$(milliseconds)
    for number in $(seq 200); do
        ask fetch many "$origin/small"
        ask drain many
        equal "body $number" "$answer" "$body"
    done
    took=$(($(milliseconds) - began))
}
many
alone=$took
journal=$(property systemd-journald.service MainPID)
from=$(cursor)
kill -STOP "$journal"
many
kill -CONT "$journal"
equal "the daemon" "$(main)" "$before"
echo "     200 jobs took $took ms beside a journald that hangs, $alone ms beside one that does not"
[ $took -lt $((3 * alone + 2000)) ] || fail "that is too much"
fetches
# The messages of the meantime have waited for journald.
all_are_recorded() { [ "$(count_since "$from" jobComplete)" -ge 201 ]; }
eventually 20 all_are_recorded
equal "entries about dropped ones" "$(count_since "$from" messagesDropped)" 0

# ---- the lanes -------------------------------------------------------------

# lane_program < SCRIPT: replaces the lane with SCRIPT, until lane_is_back.
lane_program() {
    cat > "$lane.new"
    chmod 755 "$lane.new"
    mv "$lane.new" $lane
}
cp $lane "$scratch/lane"
lane_is_back() {
    install -m 755 "$scratch/lane" "$lane.new"
    mv "$lane.new" $lane
}

it "a lane program that is lost while the service runs fails the jobs that need a lane, with a message, and nothing else"
systemctl restart $unit
ask fetch running "$origin/slow/middle"
ask pace running $((20 << 20))
eventually 10 in_state running streaming
before=$(main)
from=$(cursor)
mv $lane "$lane.away"
# Jobs of another user, who has no lane. The first one waits for some tries, the next ones do not.
for limit in 10 1 1; do
    began=$(milliseconds)
    status=0
    said=$(sluicectl --socket $system_socket fetch --quiet "$origin/small" 2>&1 > /dev/null) || status=$?
    contains "what is said" "$said" "no lane can be started"
    contains "what is said" "$said" "sluice-lane: No such file or directory"
    sooner "the refusal without a lane" $(($(milliseconds) - began)) $((limit * 1000))
done
eventually 5 says_since "$from" "jobs that need a new lane fail"
equal "how often it was said" "$(count_since "$from" lanesUnavailable)" 1
equal "the daemon" "$(main)" "$before"
in_state running "streaming stalled" || fail "the job beside: $answer"
mv "$lane.away" $lane
has_lanes() { sluicectl --socket $system_socket fetch --quiet "$origin/small" > /dev/null 2>&1; }
eventually 20 has_lanes
whole running middle

# not_ready SENTENCE STATUS
not_ready() {
    local from
    from=$(cursor)
    if systemctl start $unit 2> /dev/null; then fail "the service reports that it is ready"; fi
    eventually 30 says_since "$from" "$1"
    eventually 5 is_property $unit ExecMainStatus "$2"
    systemctl stop $unit 2> /dev/null
    equal "how often it was ready" "$(count_since "$from" serviceReady)" 0
}
it "the service does not report READY if no lane can be started: the start fails, with the reason"
systemctl stop $unit sluiced.socket 2> /dev/null
chmod -x $lane
not_ready "there is no sluice-lane at" 78
lane_program <<< $'#!/bin/sh\nexit 3'
not_ready "no lane can be started: it ended with exit status 3 before it was ready" 69
settings <<< $'lanes.minimum = 0'
not_ready "no lane can be started: it ended with exit status 3 before it was ready" 69
lane_program <<< 'no program at all'
not_ready "no lane can be started: " 69
cp "$scratch/good.toml" $file

it "jobs wait in the service manager's store until lanes can be started again"
lane_is_back
systemctl start sluiced.socket $unit
ask fetch waits "$origin/other"
eventually 10 in_state waits parked
kept
lane_program <<< $'#!/bin/sh\nexit 3'
from=$(cursor)
kill_daemon
eventually 20 says_since "$from" "no lane can be started"
lane_is_back
back 0
whole waits other
systemctl stop $unit sluiced.socket 2> /dev/null
equal lanes "$(lanes)" ""
stop_rider
finish
