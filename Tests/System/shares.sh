#!/bin/bash
# alone: it measures rates
# Who may use the service, and what users get of it, if the settings name users and groups; draining; what a user who may
# not read the journal is told; proxies as a credential.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
unit=sluiced.service
install_sluice
useradd --create-home --groups sluice other
groupadd guests
start_origin
head -c 10240 /dev/urandom > "$scratch/www/body"
truncate -s 1G "$scratch/www/large"
chmod -R a+rX "$scratch/www"
systemctl start $unit

reload() {
    settings
    systemctl reload $unit
}
# fetches USER: whether a user gets a body; the messages go to $said.
said="$scratch/said"
fetches() { as "$1" sluicectl fetch --quiet "$origin/body" > /dev/null 2> "$said"; }
# refused USER STATUS
refused() {
    local status=0
    fetches "$1" || status=$?
    equal "the exit status" $status "$2"
}

it "members of a denied group get an error; a reload ends their jobs and connections, and no others"
fetches member
fetches other
as member sluicectl fetch --quiet "$origin/slow/large" > /dev/null 2> "$scratch/ended" &
denied=$!
as other sluicectl fetch --quiet "$origin/slow/large" > /dev/null &
allowed=$!
streaming() { [ "$(sluicectl list --state streaming --json | jq length)" = "$1" ]; }
eventually 20 streaming 2
usermod --append --groups guests member
reload <<'TOML'
[groups.guests]
access = "deny"
TOML
status=0
wait $denied || status=$?
equal "the exit status of one that was cancelled" $status 14
contains "what it says" "$(cat "$scratch/ended")" "do not allow user $(id -u member) to use the service"
refused member 4
contains "what it says" "$(cat "$said")" "do not allow you"
streaming 1 || fail "$(sluicectl list)"
fetches other

it "if access is denied to all users except some, these and root have access"
reload <<'TOML'
[service]
access = "deny"
[users.member]
access = "allow"
TOML
fetches member
refused other 4
sluicectl fetch --quiet "$origin/body" > /dev/null
status=0
wait $allowed || status=$?
equal "the exit status of one that was cancelled" $status 14

it "users share a rate by the weight of their groups"
reload <<'TOML'
[limits]
rate = "8M"
[groups.guests]
weight = 3
TOML
for user in member other; do
    # Each user has a pipe and a reader of its own.
    as $user sh -c "sluicectl fetch --quiet $origin/large | dd bs=64K of=/dev/null status=none" &
done
eventually 20 streaming 2
delivered() { sluicectl list --user "$1" --state streaming --json | jq ".[0].bytesDelivered"; }
shares() {
    local first second
    first=$(delivered member) second=$(delivered other)
    sleep 5
    first=$(($(delivered member) - first)) second=$(($(delivered other) - second))
    echo "in 5 s: $first and $second bytes"
    percent=$((100 * first / (first + second)))
    speed=$(((first + second) / 5 / 1024))
    [ $percent -ge 68 ] && [ $percent -le 82 ] && [ $speed -ge 7600 ] && [ $speed -le 8800 ]
}
# The first measurement may still include the beginning.
eventually 30 shares
sluicectl cancel --all > /dev/null
wait

it "a service that drains reports it, takes no new jobs, and is done when the last has ended; users cannot make it drain"
settings < /dev/null
systemctl reload $unit
as member sluicectl fetch --quiet "$origin/slow/large" > /dev/null 2>&1 &
running=$!
eventually 20 streaming 1
status=0
as member sluicectl drain 2> "$said" || status=$?
equal "the exit status" $status 4
sluicectl drain > "$scratch/drained" 2> "$scratch/meanwhile" &
draining=$!
shows() { [[ $(property $unit StatusText) == "$1"* ]]; }
eventually 20 shows "draining: 1 streaming"
refused member 6
sluicectl cancel --all > /dev/null
wait $draining
equal "what it says" "$(cat "$scratch/drained")" drained
contains "meanwhile" "$(cat "$scratch/meanwhile")" "1 job is left"
eventually 10 shows drained
wait $running || :
sluicectl undrain
fetches member
logged serviceDraining && logged serviceUndrained

it "a user who may not read the journal is told what the service remembers"
id=$(as member sluicectl list --json | jq -r ".[-1].id")
story=$(as member sluicectl logs "$id" 2> "$said")
contains "the story" "$story" "job accepted: $origin/body"
contains "the story" "$story" "job complete: complete: "
contains "what is said beside" "$(cat "$said")" "you may not read the journal"
status=0
as other sluicectl logs "$id" > /dev/null 2>&1 || status=$?
equal "the exit status for another user's" $status 4

it "numbers by name are for operators"
contains "root's" "$(sluicectl metrics --by-name)" "sluice_user_jobs_ended_total{state=\"complete\",user=\"$(id -u member)\"}"
status=0
as member sluicectl metrics --by-name > /dev/null 2>&1 || status=$?
equal "the exit status" $status 4

it "a proxy's password is a credential, which no environment shows"
# An origin that answers every request, and records the requests.
cat > "$scratch/proxy.py" <<'END'
import http.server, sys
class Proxy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(sys.argv[1], "a") as file:
            file.write(f"{self.path} {self.headers.get('Proxy-Authorization')}\n")
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
http.server.HTTPServer(("127.0.0.1", 3128), Proxy).serve_forever()
END
systemd-run --quiet --unit=proxy --collect python3 "$scratch/proxy.py" "$scratch/asked"
listens() { ss --no-header --listening --tcp "src 127.0.0.1:3128" | grep . > /dev/null; }
eventually 20 listens
install -m 600 /dev/stdin /etc/sluice/proxy <<< 'http_proxy=http://user:secret@127.0.0.1:3128'
drop_in proxy < "$repository/systemd/examples/proxy-credential.conf"
systemctl restart $unit
equal "the body" "$(as member sluicectl fetch --quiet http://elsewhere.example/x)" ok
equal "what the proxy was asked" "$(cat "$scratch/asked")" \
    "http://elsewhere.example/x Basic $(printf user:secret | base64)"
for process in $(pgrep -u sluice); do
    [ "$process" != "$(property $unit MainPID)" ] || ! grep -qz secret "/proc/$process/environ" \
        || fail "the daemon's environment has the password"
done
[[ $(systemctl show $unit) != *secret* ]] || fail "systemctl show has the password"
echo 'PATH=/secret' > /etc/sluice/proxy
! systemctl restart $unit 2> /dev/null || fail "it starts with a credential that makes no sense"
failed() { journalctl --no-pager -q -u $unit -n 20 -o cat | grep 'cannot start' > /dev/null; }
eventually 10 failed
journalctl --no-pager -q -u $unit -n 50 -o json | grep 'line 1: it is not NAME=VALUE' > /dev/null || fail "no reason in the journal"
drop_out proxy
systemctl stop $unit
finish
