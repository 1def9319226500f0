#!/bin/bash
# What a service learns about the reason of its SIGTERM, under the restrictions of Sluice's own units: a restart, a stop,
# or a signal that systemd did not send.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
install_sluice
install -m 755 "$repository/.build/debug/systemd-probe" /usr/bin
for directory in /etc/systemd/system /etc/systemd/user; do
    install -d "$directory/sluiced.service.d"
    printf '[Service]\nExecStart=\nExecStart=/usr/bin/systemd-probe job-service %%t/sluice/answer\n' \
        > "$directory/sluiced.service.d/stand-in.conf"
done
printf '[Service]\nType=notify\nExecStart=/usr/bin/systemd-probe job-service /run/root-answer\n' \
    > /etc/systemd/system/rootly.service
systemctl daemon-reload
unit=sluiced.service
uid=$(id -u stranger)
user() { as stranger env XDG_RUNTIME_DIR="/run/user/$uid" systemctl --user "$@"; }

# answer [FILE]: the last process's report when SIGTERM came.
answer() { head -n 1 "${1:-/run/sluice/answer}"; }
answered() { [ -s "${1:-/run/sluice/answer}" ]; }

it "a restart is recognized when SIGTERM comes"
systemctl start $unit
systemctl restart $unit
equal answer "$(answer)" restart
rm /run/sluice/answer
systemctl try-restart $unit
equal "answer to try-restart" "$(answer)" restart

it "a stop is recognized"
rm /run/sluice/answer
systemctl stop $unit
equal answer "$(answer)" stop

it "a stop because of another unit is recognized as a stop"
printf '[Unit]\nConflicts=sluiced.service\n[Service]\nExecStart=/bin/sleep infinity\n' > /run/systemd/system/rival.service
systemctl daemon-reload
systemctl start $unit
rm /run/sluice/answer
systemctl start rival.service
eventually 10 answered
equal answer "$(answer)" stop
systemctl stop rival.service

it "a signal that the manager does not send belongs to no job"
systemctl start $unit
rm /run/sluice/answer
systemctl kill --kill-who=main --signal=TERM $unit
eventually 10 answered
equal answer "$(answer)" noJob
eventually 10 is_property $unit ActiveState inactive

it "a restart that follows a stop's SIGTERM comes too late to be seen, and the service still runs again"
systemctl start $unit
rm /run/sluice/answer
systemctl stop --no-block $unit
eventually 10 answered
equal answer "$(answer)" stop
systemctl restart $unit
equal state "$(property $unit ActiveState)" active

it "the answer takes some milliseconds"
systemctl start $unit
rm /run/sluice/answer
systemctl stop $unit
awk 'END { exit !($1 < 0.5) }' /run/sluice/answer || fail "it took $(tail -n 1 /run/sluice/answer)"

it "the service waits no longer than a second for a bus that hangs"
systemctl start $unit
rm /run/sluice/answer
dbus=$(property dbus.service MainPID)
kill -STOP "$dbus"
systemctl stop $unit
kill -CONT "$dbus"
equal answer "$(answer)" unknown
awk 'END { exit !($1 < 1.5) }' /run/sluice/answer || fail "it took $(tail -n 1 /run/sluice/answer)"

it "a user's service asks its own manager"
systemctl start "user@$uid.service"
user start $unit
user restart $unit
equal answer "$(answer "/run/user/$uid/sluice/answer")" restart
rm "/run/user/$uid/sluice/answer"
user stop $unit
equal answer "$(answer "/run/user/$uid/sluice/answer")" stop

it "a user's service needs no bus for it"
user stop dbus.socket dbus.service
rm -f "/run/user/$uid/bus"
user start $unit
rm "/run/user/$uid/sluice/answer"
user restart $unit
equal answer "$(answer "/run/user/$uid/sluice/answer")" restart
systemctl stop "user@$uid.service"

it "without the system's bus only root's services can know"
systemctl start $unit rootly.service
rm /run/sluice/answer
systemctl stop dbus.socket dbus.service
rm -f /run/dbus/system_bus_socket
systemctl restart $unit rootly.service
equal answer "$(answer)" unknown
equal "root's answer" "$(answer /run/root-answer)" restart
finish
