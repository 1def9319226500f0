#!/bin/bash
# The whole job under all of the unit's restrictions: names, TLS, both families, lanes, the store, the state directory; and
# what cannot be reached from there: addresses, and for lanes nearly everything.
# IPAddressDeny= needs the unified hierarchy.
# with-systemd: WITH_SYSTEMD_CGROUP=unified
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
unit=sluiced.service
install_sluice
documentation=/usr/share/doc/sluice/examples/sluiced.service.d

sum_of() { sha256sum | cut -d ' ' -f 1; }
main() { property $unit MainPID; }
lanes() { pgrep -u sluice -x sluice-lane || :; }

# Addresses of all kinds, on a loopback of the test's own.
ip link set lo up
for address in 169.254.169.254 169.254.7.7 100.100.100.200 10.1.2.3 172.16.5.5 192.168.7.7 192.168.7.8 100.64.1.1; do
    ip address add $address/32 dev lo
done
for address in fd00:ec2::254 fd20:ce::254 fd12:3456::1; do
    ip -6 address add $address/128 dev lo nodad
done

install -d "$scratch/www" "$scratch/nginx"
head -c 8388608 /dev/urandom > "$scratch/www/body"
sum=$(sum_of < "$scratch/www/body")
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=Sluice test' -keyout "$scratch/nginx/key" \
    -addext 'subjectAltName=DNS:four.hosts.test,DNS:six.hosts.test,DNS:four.dns.test,DNS:six.dns.test' \
    -out /usr/local/share/ca-certificates/sluice-test.crt 2> /dev/null
update-ca-certificates > /dev/null 2>&1
cat > "$scratch/nginx/nginx.conf" <<END
daemon off;
pid $scratch/nginx/pid;
error_log stderr;
events { }
http {
    access_log off;
    server {
        listen 8080;
        listen [::]:8080;
        listen 8443 ssl http2;
        listen [::]:8443 ssl http2;
        ssl_certificate /usr/local/share/ca-certificates/sluice-test.crt;
        ssl_certificate_key $scratch/nginx/key;
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

printf '%s\n' '127.0.0.1 localhost four.hosts.test' '::1 localhost six.hosts.test' > "$scratch/hosts"
cat "$scratch/hosts" > /etc/hosts
rm -f /etc/resolv.conf
echo 'nameserver 127.0.0.1' > /etc/resolv.conf
sed -i '/^hosts:/d' /etc/nsswitch.conf
echo 'hosts: files dns' >> /etc/nsswitch.conf
names=(four.dns.test=127.0.0.1 late.dns.test=127.0.0.1 six.dns.test=::1)
for address in 169.254.169.254 fd00:ec2::254 fd20:ce::254 fd12:3456::1; do
    names+=("a${address//[.:]/-}.dns.test=$address")
done
systemd-run --quiet --unit=names /usr/bin/python3 "$repository/Tests/System/sandbox/names.py" "${names[@]}"
eventually 10 getent ahostsv4 four.dns.test > /dev/null
systemctl start $unit

# fetch URL: the digest of the body that member gets.
fetch() { as member sluicectl fetch --quiet --retries 0 --connect-timeout 3 "$1" 2> /dev/null | sum_of; }
# refused HOST...: checks that each of them serves the body, but not to Sluice. All at once, because each takes time.
refused() {
    local host
    for host in "$@"; do
        curl --silent --output /dev/null "http://$host:8080/body" || fail "$host is not there at all"
        fetch "http://$host:8080/body" > "$scratch/refused.$host" &
    done
    wait
    for host in "$@"; do
        [ "$(cat "$scratch/refused.$host")" != "$sum" ] || fail "$host was fetched from"
    done
}

it "systemd-analyze security gives 1.5 or less"
systemd-analyze security --no-pager --threshold=15 $unit > "$scratch/security" || fail "$(cat "$scratch/security")"
tail -n 1 "$scratch/security"

it "names of /etc/hosts and of a name server, of both families, over TLS"
for name in four.hosts.test six.hosts.test four.dns.test six.dns.test; do
    equal "the sum by way of $name" "$(fetch "https://$name:8443/body")" "$sum"
done

it "a wrong name in the certificate is still noticed"
if as member sluicectl fetch --quiet --retries 0 https://localhost:8443/body > /dev/null 2> "$scratch/fetch.log"; then
    fail "a certificate for others was taken"
fi

it "existing lanes use a changed name server"
printf 'nameserver 127.0.0.9\n' > /etc/resolv.conf.new
mv /etc/resolv.conf.new /etc/resolv.conf
if [ "$(fetch http://late.dns.test:8080/body)" = "$sum" ]; then fail "the old name server was asked"; fi
printf 'nameserver 127.0.0.1\n' > /etc/resolv.conf.new
mv /etc/resolv.conf.new /etc/resolv.conf
equal sum "$(fetch http://late.dns.test:8080/body)" "$sum"

it "the store keeps a body through a restart, the state directory its outcome through the next"
as member sluicectl fetch --quiet https://six.dns.test:8443/slow/body > "$scratch/slow" &
fetching=$!
has_bytes() { [ -e "$scratch/slow" ] && [ "$(stat -c %s "$scratch/slow")" -ge "$1" ]; }
eventually 10 has_bytes 1500000
job=$(sluicectl list | awk '/streaming/ { print $1 }')
systemctl restart $unit
wait $fetching || fail "the fetch ended with $?"
equal sum "$(sum_of < "$scratch/slow")" "$sum"
systemctl restart $unit
contains "the job" "$(sluicectl show "$job")" complete

it "link-local addresses and those of cloud metadata are out of reach, whatever the name"
refused 169.254.169.254 169.254.7.7 100.100.100.200 \
    a169-254-169-254.dns.test afd00-ec2--254.dns.test afd20-ce--254.dns.test
for address in 10.1.2.3 172.16.5.5 192.168.7.7 100.64.1.1; do
    equal "the sum from $address" "$(fetch http://$address:8080/body)" "$sum"
done

it "deny-private.conf makes private addresses unreachable, too, and allow-chosen.conf allows some again"
install -D -m 644 $documentation/deny-private.conf /etc/systemd/system/$unit.d/deny-private.conf
install -m 644 $documentation/allow-chosen.conf /etc/systemd/system/$unit.d/allow-chosen.conf
# Its addresses are placeholders.
sed -i 's,^IPAddressAllow=192.0.2.10/32,IPAddressAllow=192.168.7.7/32 127.0.0.1/32,' /etc/systemd/system/$unit.d/allow-chosen.conf
systemctl daemon-reload
systemctl restart $unit
refused 10.1.2.3 172.16.5.5 192.168.7.8 100.64.1.1 169.254.7.7 afd12-3456--1.dns.test six.hosts.test
for host in 192.168.7.7 four.dns.test; do
    equal "the sum from $host" "$(fetch http://$host:8080/body)" "$sum"
done
rm -r /etc/systemd/system/$unit.d
systemctl daemon-reload
systemctl restart $unit

it "a lane at work stays within its part of TasksMax=, and all lanes within LimitNOFILE="
rm "$scratch/slow"
as member sluicectl fetch --quiet https://four.dns.test:8443/slow/body > "$scratch/slow" 2> /dev/null &
fetching=$!
eventually 10 has_bytes 100000
for lane in $(lanes); do
    threads=$(find "/proc/$lane/task" -mindepth 1 -maxdepth 1 | wc -l)
    [ "$threads" -le 12 ] || fail "a lane has $threads threads"
    echo "     a lane: $threads threads, $(find "/proc/$lane/fd" -mindepth 1 | wc -l) descriptors"
done
# Twice the size of the store, and 1,024: less than the unit's 65,536 if the machine's limit is lower.
descriptors=$(awk '/^Max open files/ { print $4 }' "/proc/$(main)/limits")
[ "$descriptors" -ge $((2 * 4096 + 1024)) ] || fail "$descriptors descriptors are too few"
[ "$(property $unit MemoryMax)" != infinity ] || fail "there is no limit on memory"
sluicectl cancel "$(sluicectl list | awk '/streaming/ { print $1 }')" > /dev/null
wait $fetching || :

it "a lane can do next to nothing except fetching, and the daemon can do what the lane cannot"
gcc -shared -fPIC -O1 -o /usr/lib/sluice-spy.so "$repository/Tests/System/sandbox/spy.c"
drop_in spy <<'UNIT'
[Service]
Environment=LD_PRELOAD=/usr/lib/sluice-spy.so
UNIT
systemctl restart $unit
equal "lanes that are warm" "$(lanes | wc -l)" 2
install -o sluice -g sluice -m 600 /dev/null /var/lib/sluice/secret
# ask PROCESS ABOUT: reports what the process can do to the other one.
ask() { /bin/kill --signal USR2 --queue "$2" "$1"; }
# The output of a lane comes through the service, as a value in quotes.
report_of() { journalctl --no-pager -q -o cat -u $unit --grep "spy $1: " | sed -nE "s/^(lane says.*\")?spy $1: ([^\"]*)\"?$/\2/p" | sort -u; }
spied() { report_of "$1" | grep '^tried ' > /dev/null; }
lane=$(lanes | head -n 1)
other=$(lanes | tail -n 1)
ask "$lane" "$other"
eventually 10 spied "$lane"
ask "$(main)" "$other"
eventually 10 spied "$(main)"
equal "what a lane can" "$(report_of "$lane" | grep '^can ')" 'can read /etc/hosts'
# Otherwise the test would not show anything.
of_daemon=$(report_of "$(main)")
for can in "set another's limits" "set another's policy" 'signal another' 'have the kernel signal' 'hold another' \
    'connect to the service' 'write to the journal' 'listen' 'start a process' 'start a program' 'have a memory file' \
    'read a file' 'list a directory' 'write a file'; do
    grep -qx "can $can" <<< "$of_daemon" || fail "the daemon cannot $can: $of_daemon"
done
[ "$(report_of "$lane" | grep '^tried ')" = "$(grep '^tried ' <<< "$of_daemon")" ] || fail "they did not try the same"
as sluice cat "/proc/$(main)/environ" > /dev/null || fail "processes of the same user cannot read the daemon"
equal "the lane's system calls" "$(awk '/^Seccomp_filters:/ { print $2 }' "/proc/$lane/status")" \
    $(($(awk '/^Seccomp_filters:/ { print $2 }' "/proc/$(main)/status") + 1))
equal "the lane's turn when memory is short" "$(cat "/proc/$lane/oom_score_adj")" 500
equal "the daemon's" "$(cat "/proc/$(main)/oom_score_adj")" 0

it "a lane is batch work, the daemon is not"
equal "the lane's policy" "$(chrt --pid "$lane" | head -n 1 | sed 's/.*: //')" SCHED_BATCH
equal "the daemon's" "$(chrt --pid "$(main)" | head -n 1 | sed 's/.*: //')" SCHED_OTHER

it "a lane cannot inspect the daemon, or signal it"
ask "$other" "$(main)"
eventually 10 spied "$other"
equal "what a lane can" "$(report_of "$other" | grep '^can ')" 'can read /etc/hosts'
rm /var/lib/sluice/secret

it "a lane cannot log in the service's name: its output is logged as its own"
logged laneSays "SLUICE_LANE=$other" || fail "the output of the lane is not logged as its own"
[ -z "$(journalctl --no-pager -q -o cat -u $unit _TRANSPORT=stdout --grep "^spy $other: ")" ] || fail "a lane has the service's stream"

it "the memory of a lane can be measured, although the lane hides itself"
memory=$(sluicectl metrics | sed -n 's/^sluice_lane_memory_bytes //p')
[ "${memory%.*}" -gt 1000000 ] || fail "all lanes have $memory bytes"
finish
