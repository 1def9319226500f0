#!/bin/bash
# Inside the minimal Debian: the life of the package, from its installation to nothing being left of it.
# shellcheck source=../lib.sh
source "$1/Tests/System/lib.sh"
debs=$2
unit=sluiced.service
export DEBIAN_FRONTEND=noninteractive

# apt ARGUMENT...: without a network, so what it needs is in its cache.
apt() { apt-get --quiet=2 --yes --no-install-recommends "$@" > "$scratch/apt.log" 2>&1 || fail "apt-get $*: $(tail -n 30 "$scratch/apt.log")"; }
main() { property $unit MainPID; }
sum_of() { sha256sum < "$1" | cut -d ' ' -f 1; }
# Every file and directory that is there to stay, with owner and mode. Not the logs, the package system's own books and
# caches, nor what this test has made.
files() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path "$scratch" -o -path "$repository" -o -path "$debs" \
        -o -path /var/log -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache -o -path /tmp -o -path /var/tmp \
        -o -path /var/lib/dbus/machine-id -o -path /root -o -path /var/lib/systemd/catalog/database \) -prune -o -printf '%M %u:%g %p\n' | sort -k 3
    # On a file system of its own.
    find /run -path '*sluice*' -not -path "/run/with-systemd*"
}

it "there is no Swift and no Sluice on the machine"
for name in swift sluiced sluicectl; do
    if command -v $name > /dev/null; then fail "there is $name"; fi
done
[ -z "$(find / -xdev \( -path "$repository" -o -path "$debs" \) -prune -o -name 'libswift*' -print)" ] || fail "there is a Swift runtime"
useradd --no-create-home member
mkdir "$scratch/www" "$scratch/nginx"
head -c 25165824 /dev/urandom > "$scratch/www/body"
cat > "$scratch/nginx/nginx.conf" <<END
daemon off;
pid $scratch/nginx/pid;
error_log stderr;
events { }
http {
    access_log off;
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
sum=$(sum_of "$scratch/www/body")
systemd-run --quiet --unit=origin nginx -p "$scratch/nginx" -c "$scratch/nginx/nginx.conf"

it "what it depends on is in Debian"
apt satisfy "$(dpkg-deb --field "$debs/sluice.deb" Depends)"
# What these two make when they first run: the service wants the bus, which a new machine does not have yet.
install -d /var/lib/dbus /var/lib/systemd/linger
ln -sf /etc/machine-id /var/lib/dbus/machine-id
nginx_is_up() { [ -e "$scratch/nginx/pid" ]; }
eventually 10 nginx_is_up
files > "$scratch/before"

it "apt installs it, and no library is missing"
apt install "$debs/sluice.deb"
for program in /usr/bin/sluiced /usr/bin/sluicectl /usr/libexec/sluice/sluice-lane; do
    libraries=$(ldd $program)
    if grep -E 'not found|swift|Foundation' <<< "$libraries"; then fail "$program needs what is not in Debian"; fi
done
sluiced --check-config /etc/sluice/sluiced.toml > /dev/null
/usr/libexec/sluice/sluice-lane --check-shim > /dev/null

it "the service runs and is enabled, by the socket and at boot"
for name in $unit sluiced.socket; do
    equal "$name" "$(systemctl is-active $name)" active
    equal "$name" "$(systemctl is-enabled $name)" enabled
done
equal "the daemon's user" "$(stat -c %U "/proc/$(main)")" sluice
equal socket "$(stat -c '%G %a' $system_socket)" "sluice 660"
sluicectl status > /dev/null
contains "the journal's explanations" "$(journalctl -b --no-pager -x -u $unit)" "its first lanes"

it "the service as installed has an exposure of 1.5 or less"
systemd-analyze security --no-pager --threshold=15 $unit > "$scratch/security" || fail "$(cat "$scratch/security")"

it "a member of the group gets a body, anybody else none"
if as member sluicectl fetch --quiet $origin/body > "$scratch/refused" 2>&1; then fail "a stranger was let in"; fi
usermod --append --groups sluice member
as member sluicectl fetch --quiet $origin/body > "$scratch/got"
equal sum "$(sum_of "$scratch/got")" "$sum"

# The one job that has not ended.
running() { sluicectl list | grep -E 'streaming|stalled|parked|waiting|queued' | awk '{ print $1 }'; }
is_running() { [ -n "$(running)" ]; }
# has_bytes FILE COUNT
has_bytes() { [ -e "$1" ] && [ "$(stat -c %s "$1")" -ge "$2" ]; }

it "an upgrade in mid-transfer loses no byte, and the job is the same"
echo '# the administrator was here' >> /etc/sluice/sluiced.toml
as member sluicectl fetch --quiet $origin/slow/body > "$scratch/slow" &
fetch=$!
eventually 10 has_bytes "$scratch/slow" 3000000
job=$(running)
before=$(main)
socket_before=$(property sluiced.socket ActiveEnterTimestampMonotonic)
apt install "$debs/next.deb"
[ "$(main)" != "$before" ] || fail "the service was not restarted"
contains version "$(dpkg-query -W -f '${Version}' sluice)" +next
equal job "$(running)" "$job"
if has_bytes "$scratch/slow" 25165824; then fail "the body was over before the upgrade was"; fi
wait $fetch || fail "the fetch ended with $?"
equal sum "$(sum_of "$scratch/slow")" "$sum"
logged jobsHandedOver || fail "no word of the restart in the journal"
logged jobRestored SLUICE_JOB="$job" || fail "the journal does not say that the job went on"
logged jobComplete SLUICE_JOB="$job" || fail "the journal does not say that the job is complete"
equal "the time of the socket's start" "$(property sluiced.socket ActiveEnterTimestampMonotonic)" "$socket_before"

it "an upgrade keeps the administrator's settings"
contains settings "$(tail -n 1 /etc/sluice/sluiced.toml)" administrator

it "an upgrade leaves a service alone that was stopped"
systemctl stop sluiced.socket $unit
apt install --reinstall "$debs/next.deb"
equal service "$(property $unit ActiveState)" inactive
equal socket "$(property sluiced.socket ActiveState)" inactive
systemctl start sluiced.socket $unit

it "remove ends the service and keeps settings and outcomes"
apt remove sluice
equal service "$(property $unit ActiveState)" inactive
[ -z "$(find /proc -maxdepth 2 -name exe -lname '*sluice*' 2> /dev/null)" ] || fail "something still runs"
[ ! -e /run/sluice ] || fail "/run/sluice is still there"
[ ! -e /usr/bin/sluiced ] || fail "the program is still there"
contains settings "$(tail -n 1 /etc/sluice/sluiced.toml)" administrator
[ -d /var/lib/sluice ] || fail "the state is gone"

it "and the next installation goes on with them"
apt install "$debs/next.deb"
equal "$unit" "$(systemctl is-active $unit)" active
contains settings "$(tail -n 1 /etc/sluice/sluiced.toml)" administrator
contains jobs "$(sluicectl list)" "$job"

it "purge leaves nothing but the user, whose number must not go to another"
apt purge sluice
files > "$scratch/after"
changes=$(diff "$scratch/before" "$scratch/after" || :)
[ -z "$changes" ] || fail "files differ: $changes"
getent passwd sluice > /dev/null || fail "the user is gone"
if systemctl cat $unit > /dev/null 2>&1; then fail "the unit is still known"; fi
finish
