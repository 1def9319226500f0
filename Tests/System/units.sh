#!/bin/bash
# The units as they are installed, with a stand-in for the daemon: how systemd treats them.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
install_sluice
install -m 755 "$repository/.build/debug/systemd-probe" /usr/bin
for directory in /etc/systemd/system /etc/systemd/user; do
    install -d "$directory/sluiced.service.d"
    printf '[Service]\nExecStart=\nExecStart=/usr/bin/systemd-probe service\n' \
        > "$directory/sluiced.service.d/stand-in.conf"
done
systemctl daemon-reload

# say_hello USER PATH: prints the stand-in's answer.
say_hello() {
    as "$1" timeout 10 python3 -c "
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
print(s.makefile().read(), end='')" "$2" 2>&1
}

it "systemd-analyze verify is silent"
equal output "$(systemd-analyze verify sluiced.service sluiced.socket 2>&1)" ""

it "the service starts under all its restrictions, as the user sluice, without privileges"
systemctl start sluiced.service
pid=$(property sluiced.service MainPID)
equal user "$(stat -c %U "/proc/$pid")" sluice
status=$(cat "/proc/$pid/status")
contains capabilities "$status" $'CapBnd:\t0000000000000000'
contains "no new privileges" "$status" $'NoNewPrivs:\t1'
contains seccomp "$status" $'Seccomp:\t2'
contains "core size" "$(grep 'core file' "/proc/$pid/limits")" " 0 "
equal "the socket's directory" "$(stat -c '%U:%G %a' /run/sluice)" "sluice:sluice 755"
systemctl stop sluiced.service
equal "the directory after the stop" "$(stat -c '%U:%G %a' /run/sluice)" "sluice:sluice 755"

it "only the group may use the socket unit's socket"
systemctl start sluiced.socket
equal socket "$(stat -c '%G %a' $system_socket)" "sluice 660"
contains "a stranger" "$(say_hello stranger $system_socket)" "PermissionError"
equal "service" "$(property sluiced.service ActiveState)" inactive

it "the first connection starts the service"
equal answer "$(say_hello member $system_socket)" hello
# The service answers before systemd has read its READY.
eventually 10 is_property sluiced.service ActiveState active

it "the socket survives a stop and a restart of the service"
systemctl stop sluiced.service 2> /dev/null
[ -S $system_socket ] || fail "the socket is gone"
equal answer "$(say_hello member $system_socket)" hello
systemctl restart sluiced.service
equal answer "$(say_hello member $system_socket)" hello

it "systemd does not give up on a service that crashes repeatedly"
for crash in 1 2 3 4 5 6; do
    pid=$(property sluiced.service MainPID)
    kill -KILL "$pid"
    eventually 10 is_property sluiced.service NRestarts $crash
    eventually 10 is_property sluiced.service ActiveState active
done
equal answer "$(say_hello member $system_socket)" hello

it "the socket is removed with its unit"
systemctl stop sluiced.socket sluiced.service
[ ! -e $system_socket ] || fail "the socket is still there"

it "a user's own service works the same way"
uid=$(id -u stranger)
systemctl start "user@$uid.service"
user() { as stranger env XDG_RUNTIME_DIR="/run/user/$uid" systemctl --user "$@"; }
user start sluiced.socket
path=/run/user/$uid/sluice/io.sluice.Ingest
equal socket "$(stat -c '%U %a' "$path")" "stranger 600"
equal answer "$(say_hello stranger "$path")" hello
user stop sluiced.service 2> /dev/null
equal "answer after a stop" "$(say_hello stranger "$path")" hello
user stop sluiced.socket sluiced.service
[ ! -e "$path" ] || fail "the socket is still there"
finish
