# Sourced by the scripts here, which run as root under a systemd of their own: all that they write is removed with it.
# Their first argument is the repository.
set -euo pipefail
# shellcheck disable=SC2034  # the scripts use it
repository=$1
scratch=$(mktemp -d)
chmod 755 "$scratch"

current=
# it SENTENCE: states what the commands up to the next `it` show.
it() {
    [ -z "$current" ] || echo "ok   $current"
    current=$1
}
finish() {
    it ''
    finished=yes
}
finished=
# A script that ends at any other place has failed, and prints systemd's view.
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

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

# measure_slowness: sets $slowness to how many times longer a known piece of work takes now than on a calm machine, 1 to
# 20. The work is some computing and some small programs.
measure_slowness() {
    local began count
    began=$(milliseconds)
    for ((count = 0; count < 20; count++)); do /bin/true; done
    for ((count = 0; count < 10000; count++)); do :; done
    slowness=$((($(milliseconds) - began) / 90))
    slowness=$((slowness < 1 ? 1 : slowness > 20 ? 20 : slowness))
}
measure_slowness
slowness_at_start=$slowness

# eventually SECONDS COMMAND...: repeats the command until it succeeds. The seconds are those of a calm machine: they
# are multiplied by the slowness at the start, and by the present slowness when the time would be over.
eventually() {
    # The command sees these variables, so they have distinct names.
    local _began=$SECONDS _seconds=$1 _factor=$slowness_at_start
    shift
    until "$@"; do
        if [ $((SECONDS - _began)) -ge $((_seconds * _factor)) ]; then
            measure_slowness
            _factor=$((slowness > _factor ? slowness : _factor))
            [ $((SECONDS - _began)) -lt $((_seconds * _factor)) ] || fail "not within the time: $*"
        fi
        sleep 0.05
    done
}

# sooner WHAT MILLISECONDS LIMIT: checks that it took less than the limit of a calm machine. On a busy machine it prints a
# note instead, which Tests/System/run repeats at the end.
sooner() {
    [ "$2" -ge "$3" ] || return 0
    measure_slowness
    [ $slowness -ge 2 ] || fail "$1: it took $2 ms, $3 are allowed"
    echo "too busy to judge: $1: it took $2 ms, $3 are allowed, on a machine $slowness times as slow as a calm one"
}
# property UNIT NAME
property() { systemctl show --property="$2" --value "$1"; }
is_property() { [ "$(property "$1" "$2")" = "$3" ]; }

# ---- for the tests of the service ------------------------------------------

# install_sluice: installs the debug build, or the programs that SLUICE_TEST_BUILT names, and the units as a package would.
install_sluice() {
    make -C "$repository" --no-print-directory install CONFIGURATION=debug SWIFT_RUNTIME=system \
        BUILT="${SLUICE_TEST_BUILT:-.build/debug}" DESTDIR= PREFIX=/usr > "$scratch/install.log" 2>&1 || fail "$(cat "$scratch/install.log")"
    [ -e /etc/sluice/sluiced.toml ] || : > /etc/sluice/sluiced.toml
    systemd-sysusers 2> /dev/null
    journalctl --update-catalog
    systemctl daemon-reload
    # A user who may use the service, and one who may not.
    useradd --create-home --groups sluice member
    useradd --create-home stranger
}

# settings < TOML: writes the service's settings, which apply from its next start on.
settings() {
    cat > /etc/sluice/sluiced.toml
    sluiced --check-config /etc/sluice/sluiced.toml > "$scratch/settings.log" 2>&1 || fail "$(cat "$scratch/settings.log")"
}
# drop_in NAME < UNIT: adds to the service's unit, until it is removed again with `drop_out NAME`.
drop_in() {
    install -d /run/systemd/system/sluiced.service.d
    cat > "/run/systemd/system/sluiced.service.d/$1.conf"
    systemctl daemon-reload
}
drop_out() {
    rm "/run/systemd/system/sluiced.service.d/$1.conf"
    systemctl daemon-reload
}

# start_origin: starts nginx on a loopback of the test's own, serving the scratch directory's www.
origin=http://127.0.0.1:8080
start_origin() {
    install -d "$scratch/www" "$scratch/nginx"
    cat > "$scratch/nginx/nginx.conf" <<END
daemon off;
pid $scratch/nginx/pid;
error_log stderr;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    keepalive_timeout 60;
    server {
        listen 127.0.0.1:8080;
        root $scratch/www;
        location /slow/ {
            alias $scratch/www/;
            limit_rate 1m;
        }
    }
}
END
    systemd-run --quiet --unit=origin nginx -p "$scratch/nginx" -c "$scratch/nginx/nginx.conf"
    eventually 10 curl --silent --output /dev/null "$origin/"
}

system_socket=/run/sluice/io.sluice.Ingest
# as USER COMMAND...
as() { runuser -u "$1" -- "${@:2}"; }
# A separate client, so that a fault of sluicectl is not taken for a fault of the service.
client() { python3 "$repository/Tests/System/client.py" "$system_socket" "$@"; }
# message_id CASE: the id of a kind of journal entry.
message_id() {
    sed -nE "s/^ *case $1 = \"(.*)\"$/\1/p" "$repository/Sources/SluiceDaemon/Log/MessageID.swift"
}
# logged CASE [MATCH...]: whether there is such an entry.
logged() { journalctl --no-pager -q -o cat MESSAGE_ID="$(message_id "$1")" "${@:2}" | grep . > /dev/null; }
