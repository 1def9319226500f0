#!/bin/bash
# The Systemd module under a real systemd: a small service that uses it, seen from outside.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
probe=$repository/.build/debug/systemd-probe
units=/etc/systemd/system
unit=probe.service

install -d "$units"
mkfifo "$scratch/gate"
cat > "$units/probe.service" <<END
[Unit]
StartLimitIntervalSec=0
[Service]
Type=notify
ExecStart=$probe service $scratch/gate
ExecReload=/bin/kill -HUP \$MAINPID
WatchdogSec=1
Restart=on-failure
RestartSec=100ms
# As in the service's own unit: otherwise Swift's crash handler catches the watchdog's SIGABRT, and returns from it.
Environment=SWIFT_BACKTRACE=enable=no
END
cat > "$units/gateless.service" <<END
[Service]
Type=notify
ExecStart=$probe service
END
cat > "$units/gateless.socket" <<END
[Socket]
ListenStream=/run/gateless/socket
FileDescriptorName=varlink
RemoveOnStop=yes
END
cat > "$units/wrong.service" <<END
[Service]
Type=notify
ExecStart=$probe service
END
cat > "$units/wrong.socket" <<END
[Socket]
ListenDatagram=/run/wrong/socket
END
systemctl daemon-reload

it "systemctl start returns when the service is ready, and not before"
systemctl start $unit &
start=$!
eventually 10 is_property $unit ActiveState activating
[ -d /proc/$start ] || fail "systemctl start came back early"
equal "state before the gate opens" "$(property $unit ActiveState)" activating
: > "$scratch/gate"
wait $start
equal "state" "$(property $unit ActiveState)" active

it "systemctl status shows the status line"
contains status "$(systemctl status --no-pager $unit)" 'Status: "1 streaming, 0 stalled"'

it "a reload is announced and ends, with a new status"
systemctl reload $unit
eventually 10 is_property $unit StatusText "reloads: 1"
equal "state" "$(property $unit ActiveState)" active

it "the watchdog does not touch a service that feeds it"
pid=$(property $unit MainPID)
before=$(property $unit WatchdogTimestampMonotonic)
eventually 10 bash -c "[ \$(systemctl show --property=WatchdogTimestampMonotonic --value $unit) -gt $((before + 2500000)) ]"
equal "main process" "$(property $unit MainPID)" "$pid"
equal restarts "$(property $unit NRestarts)" 0

it "the watchdog restarts a service that hangs"
kill -STOP "$pid"
eventually 15 is_property $unit NRestarts 1
contains "the journal" "$(journalctl --no-pager -u $unit)" "Watchdog timeout"
: > "$scratch/gate"
eventually 10 is_property $unit ActiveState active

it "systemctl stop is clean"
systemctl stop $unit
equal result "$(property $unit Result)" success

it "the socket unit starts the service at the first connection, and passes it the socket by name"
systemctl start gateless.socket
equal "state before" "$(property gateless.service ActiveState)" inactive
said=$(timeout 10 python3 -c "
import socket
s = socket.socket(socket.AF_UNIX)
s.connect('/run/gateless/socket')
print(s.makefile().read(), end='')")
equal answer "$said" hello
equal "state" "$(property gateless.service ActiveState)" active
journal=$(journalctl --no-pager -o json -u gateless.service SYSLOG_IDENTIFIER=systemd-probe)
contains "the journal" "$journal" '"SLUICE_SOCKET":"varlink"'

it "a socket of the wrong type is refused with the reason and the remedy"
systemctl start wrong.socket
python3 -c "
import socket
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '/run/wrong/socket')"
eventually 10 bash -c "journalctl --no-pager -u wrong.service | grep 'a datagram socket of the family AF_UNIX.*give the socket unit ListenStream=' > /dev/null"
systemctl stop wrong.socket

it "the journal gets the fields, whatever they contain"
systemd-run --quiet --wait --unit=log "$probe" log
journalctl --sync
entries=$(journalctl --no-pager -o json --all -u log.service)
python3 - "$entries" <<'END'
import json, sys
entries = [json.loads(line) for line in sys.argv[1].splitlines()]
ours = [e for e in entries if e.get("SYSLOG_IDENTIFIER") == "systemd-probe" and "CODE_FILE" in e]
by = {}
for entry in ours:
    message = entry["MESSAGE"]
    if isinstance(message, list): message = bytes(message).decode()
    by[message.split(" ")[0] + " " + message.split(" ")[1]] = entry
job = by["job complete"]
assert job["MESSAGE"] == 'job complete job=17 bytes=42 host="a b"', job["MESSAGE"]
assert job["SLUICE_JOB"] == "17" and job["SLUICE_BYTES"] == "42" and job["SLUICE_HOST"] == "a b"
assert job["MESSAGE_ID"] == "0123456789abcdef0123456789abcdef" and job["PRIORITY"] == "6"
assert job["CODE_FILE"].endswith("ProbeLog.swift") and job["CODE_LINE"].isdigit(), job
assert job["CODE_FUNC"] == "run()" and job["_TRANSPORT"] == "journal", job
two = by["two lines"]
detail = two["SLUICE_DETAIL"]
if isinstance(detail, list): detail = bytes(detail).decode()
assert detail == "first\nsecond\0third", detail
assert two["SLUICE_PID"] == "1" and two["_PID"] != "1" and two["SLUICE_1"] == "digit"
long = by["long job=17"]["SLUICE_VALUE"]
assert len(long.encode()) <= 16384 and long.endswith("…")
end = by["the end"]
assert end["PRIORITY"] == "4" and end["SLUICE_PRIORITY"] == "0" and end["SLUICE_MESSAGE"] == "forged"
levels = {k.split()[1]: v["PRIORITY"] for k, v in by.items() if k.startswith("level ")}
assert levels == dict(trace="7", debug="7", info="6", notice="5", warning="4", error="3", critical="2"), levels
END
contains "the destination" "$(journalctl --no-pager -u log.service)" "destination: journal"
equal "entries of the job" "$(journalctl --no-pager -q -o cat SLUICE_JOB=17 MESSAGE_ID=0123456789abcdef0123456789abcdef)" \
    'job complete job=17 bytes=42 host="a b"'

it "if standard error is not the journal, the service writes lines with priorities"
# Through a pipe: the service would take a file for output that a person reads.
systemd-run --quiet --wait --pipe "$probe" log 2>&1 > /dev/null | cut -c -100 > "$scratch/lines"
grep -q '^<6>job complete job=17' "$scratch/lines" || fail "$(cat "$scratch/lines")"

it "a journald that hangs does not delay the service, and the dropped messages are reported afterwards"
mkfifo "$scratch/begin" "$scratch/end"
systemd-run --quiet --unit=flood "$probe" flood "$scratch/begin" "$scratch/end"
journald=$(property systemd-journald.service MainPID)
kill -STOP "$journald"
timeout 10 bash -c ": > $scratch/begin; : > $scratch/end" || stuck=yes
kill -CONT "$journald"
[ -z "${stuck:-}" ] || fail "the service waits for journald"
dropped_are_told() {
    journalctl --no-pager -q MESSAGE_ID=fedcba9876543210fedcba9876543210 | grep 'messages dropped.*dropped=[1-9]' > /dev/null
}
eventually 10 dropped_are_told
finish
