# Sourced by the scripts that follow jobs through the ends of the service's process. After lib.sh.
# shellcheck disable=SC2034,SC2154  # lib.sh, and the scripts, use it

unit=sluiced.service
# start_rider: consumers on a string (rider.py), as the user member.
start_rider() {
    mkfifo "$scratch/to-rider" "$scratch/from-rider"
    as member python3 "$repository/Tests/System/torture/rider.py" $system_socket \
        < "$scratch/to-rider" > "$scratch/from-rider" &
    rider=$!
    exec {to_rider}> "$scratch/to-rider" {from_rider}< "$scratch/from-rider"
}
stop_rider() {
    exec {to_rider}>&-
    wait $rider
}
# ask COMMAND ARG...: tells them something, and sets $answer.
ask() {
    echo "$*" >&"$to_rider"
    IFS= read -r -t 150 answer <&"$from_rider" || fail "no answer to: $*"
    [[ $answer != failed:* ]] || fail "$*: $answer"
}

# make_body NAME BYTES: what nginx serves, at full speed, and below slow/ at 1 MiB/s.
make_body() { head -c "$2" /dev/urandom > "$scratch/www/$1"; }
# sum_of NAME [BYTES]: of a body's first bytes, of all where no number is given.
sum_of() { head -c "${2:-1T}" "$scratch/www/$1" | sha256sum | cut -d ' ' -f 1; }
# start_gate: an origin that waits for signs (gate.py).
gate=http://127.0.0.1:8082
start_gate() {
    systemd-run --quiet --unit=gate python3 "$repository/Tests/System/torture/gate.py" 8082 "$scratch/www"
    eventually 10 curl --silent --output /dev/null "$gate/busy/never/none"
}

main() { property $unit MainPID; }
lanes() { pgrep -u sluice -x sluice-lane || :; }
# field NAME: of the job in $answer, `outcome.code` for one inside another; empty where it is not there.
field() {
    python3 -c '
import json, sys
value = json.loads(sys.argv[1]) if sys.argv[1].startswith("{") else {}
for name in sys.argv[2].split("."): value = (value or {}).get(name)
print("" if value is None else value)' "$answer" "$1"
}
in_state() {
    ask show "$1"
    local state
    state=$(field state)
    [[ " $2 " == *" $state "* ]]
}
# whole NAME FILE: the consumer gets what is left, it is the right body, and Wait says so.
whole() {
    ask drain "$1"
    equal "the body of $1" "$answer" "$(stat -c %s "$scratch/www/$2") $(sum_of "$2")"
    ask wait "$1"
    equal "the outcome of $1" "$(field outcome.code)" complete
}
stored() { property $unit NFileDescriptorStore; }
# kept: the jobs are old enough to be kept (store_after_seconds is 1), and the service manager has them.
kept() {
    local last=none now
    sleep 1.1
    now=$(stored)
    until [ "$now" = "$last" ]; do
        last=$now
        sleep 0.2
        now=$(stored)
    done
}
# back PID: another process than this one is the service's, and ready.
is_back() { is_property $unit ActiveState active && [ "$(main)" != "$1" ] && [ "$(main)" != 0 ]; }
back() { eventually 20 is_back "$1"; }
kill_daemon() { kill -KILL "$(main)"; }
# exact_prefix NAME FILE: the consumer gets what is left, and it is the beginning of the body.
exact_prefix() {
    local count sum
    ask drain "$1"
    read -r count sum <<< "$answer"
    equal "what the consumer of $1 got" "$sum" "$(sum_of "$2" "$count")"
}
