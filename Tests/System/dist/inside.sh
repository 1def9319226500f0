#!/bin/bash
# Inside the minimal Debian, as its root: makes it one without systemd, and uses the tarball as another user.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
current=
it() {
    [ -z "$current" ] || echo "ok   $current"
    current=$1
}
fail() {
    echo "FAIL $current: $*" >&2
    exit 1
}
trap '[ $? = 0 ] || echo "FAIL $current" >&2' EXIT
# eventually COMMAND...: until it succeeds, at most a minute. The whole test has a limit, too.
eventually() {
    local began=$SECONDS
    until "$@"; do
        [ $((SECONDS - began)) -lt 60 ] || fail "not within the time: $*"
        sleep 0.05
    done
}

it "the machine has libcurl, and neither systemd nor Swift"
apt-get --quiet=2 --yes --no-install-recommends install libcurl4 > /tmp/apt.log 2>&1 || fail "$(tail -n 20 /tmp/apt.log)"
# From here on there is no package system, which needs these libraries, too.
find / -xdev -path /tarball -prune -o \( -name 'libsystemd*.so*' -o -name 'libstdc++.so*' \) -exec rm -rf {} +
rm -rf /lib/systemd/systemd /usr/bin/systemctl /usr/bin/journalctl
[ -z "$(find / -xdev -name 'libswift*' -print -quit)" ] || fail "there is a Swift runtime"
[ ! -d /run/systemd/system ] || fail "systemd runs"
echo 'member:x:1000:1000::/home/member:/bin/sh' >> /etc/passwd
echo 'member:x:1000:' >> /etc/group
install -d -o 1000 -g 1000 /home/member
member=(setpriv --reuid=member --regid=member --clear-groups --no-new-privs env -i HOME=/home/member "PATH=$PATH" LC_ALL=C.UTF-8)
as_member() { "${member[@]}" "$@"; }

mkdir -p /srv/www /srv/nginx
head -c 8388608 /dev/urandom > /srv/www/body
cat > /srv/nginx/nginx.conf <<END
pid /srv/nginx/pid;
error_log stderr;
events { }
http {
    access_log off;
    server {
        listen 127.0.0.1:8080;
        root /srv/www;
    }
}
END
nginx -p /srv/nginx -c /srv/nginx/nginx.conf
eventually test -s /srv/nginx/pid
sum=$(sha256sum < /srv/www/body)

it "it is unpacked anywhere, and no library is missing"
as_member mkdir "/home/member/a place"
as_member tar -x -z -f /tarball/sluice.tar.gz -C "/home/member/a place"
top=$(echo "/home/member/a place"/sluice-*)
for program in "$top"/bin/* "$top"/libexec/sluice/*; do
    missing=$(ldd "$program" | grep "not found" || :)
    [ -z "$missing" ] || fail "$program: $missing"
done
version=$(as_member "$top/bin/sluicectl" --version | cut -d " " -f 2)
[[ $top == */sluice-$version-* ]] || fail "the directory $top has another version than $version"
as_member "$top/libexec/sluice/sluice-lane" --check-shim > /dev/null || fail "the lane's functions are not in front of libcurl's"

it "a fetch without a service gets the body from a private one"
[ "$(as_member "$top/bin/sluicectl" fetch http://127.0.0.1:8080/body | sha256sum)" = "$sum" ] || fail "another body"

it "it works from where it has been moved to, and through a link"
as_member mv "$top" /home/member/sluice
top=/home/member/sluice
as_member ln -s "$top/bin/sluicectl" /home/member/sluicectl
[ "$(as_member /home/member/sluicectl fetch http://127.0.0.1:8080/body | sha256sum)" = "$sum" ] || fail "another body"

it "a service that is started by hand serves, and ends with SIGTERM"
as_member mkdir -m 700 /home/member/run
# Not by the function, for which the shell would start a process of its own.
"${member[@]}" "$top/bin/sluiced" --config "$top/share/doc/sluice/sluiced.toml" --socket /home/member/run/socket 2> /tmp/log &
service=$!
eventually test -S /home/member/run/socket
[ "$(as_member "$top/bin/sluicectl" --socket /home/member/run/socket fetch http://127.0.0.1:8080/body | sha256sum)" = "$sum" ] || fail "another body"
as_member "$top/bin/sluicectl" --socket /home/member/run/socket status > /tmp/status || fail "no status"
kill "$service"
wait "$service" || fail "it ended with $?: $(tail -n 5 /tmp/log)"

it "the manual pages, the completions and the documents are there"
for file in share/man/man1/sluicectl.1 share/man/man8/sluiced.8 share/doc/sluice/README.md share/doc/sluice/copyright share/bash-completion/completions/sluicectl; do
    [ -s "$top/$file" ] || fail "$file is missing"
done

it ''
kill "$(cat /srv/nginx/pid)"
