# Sourced by the scripts here, which run as root under a systemd of their own: whatever they write is gone with it.
# Their first argument is the repository.
set -euo pipefail
# shellcheck disable=SC2034  # the scripts use it
repository=$1
scratch=$(mktemp -d)
chmod 755 "$scratch"

current=
# it SENTENCE: what the commands up to the next one show.
it() {
    [ -z "$current" ] || echo "ok   $current"
    current=$1
}
finish() {
    it ''
    finished=yes
}
finished=
# A script that ends anywhere else has failed, and shows what systemd knows.
report() {
    local status=$?
    [ -z "$finished" ] || [ $status != 0 ] || return 0
    echo "FAIL $current" >&2
    systemctl --failed --no-pager --no-legend >&2 || :
    journalctl -b --no-pager -n 60 | cut -c -300 >&2 || :
    exit 1
}
trap report EXIT

fail() {
    echo "$*" >&2
    exit 1
}

# equal WHAT IS SHOULD
equal() { [ "$2" = "$3" ] || fail "$1: '$2' instead of '$3'"; }
# contains WHAT TEXT PART
contains() { [[ $2 == *"$3"* ]] || fail "$1: no '$3' in: $2"; }

# eventually SECONDS COMMAND...: runs it again and again until it succeeds.
eventually() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt "$deadline" ] || fail "not within the time: $*"
        sleep 0.05
    done
}

milliseconds() { echo $(($(date +%s%N) / 1000000)); }
# property UNIT NAME
property() { systemctl show --property="$2" --value "$1"; }
is_property() { [ "$(property "$1" "$2")" = "$3" ]; }
