#!/bin/bash
# The completions in the shells, each with a user's own settings: subcommands, options, files, and the ids of jobs.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
install_sluice
start_origin
truncate -s 64M "$scratch/www/large"
systemctl start sluiced.service
coproc HOLD { as member python3 "$repository/Tests/System/client.py" $system_socket hold 1 "$origin/large"; }
holder=$HOLD_PID
read -r said <&"${HOLD[0]}"
id=$(as member sluicectl list --json | jq -r '.[0].id')
home=$(mktemp -d)
touch "$home/body.img" "$home/settings.toml"
chmod -R a+rX "$home"

# offers SHELL LINE: prints what the shell offers at the end of the line, one on a line; there may be no other output.
offers() {
    (cd "$home" && as member timeout 30 python3 "$repository/Tests/Man/complete.py" "$1" "$repository/completions" "$2")
}
# in_all LINE WANTED...: all three shells offer these.
in_all() {
    local shell wanted line=$1
    shift
    for shell in bash zsh fish; do
        offered=$(offers $shell "$line") || fail "$shell: $line"
        for wanted in "$@"; do
            grep -qxF -- "$wanted" <<< "$offered" || fail "$shell: no '$wanted' for '$line' in: $offered"
        done
    done
}

it "subcommands"
in_all 'sluicectl ' fetch list show watch wait cancel status
in_all 'sluicectl ca' cancel

it "options"
in_all 'sluicectl fetch --de' --deadline
in_all 'sluiced --check' --check-config

it "files, where an option takes one"
in_all 'sluicectl fetch -o bo' body.img
in_all 'sluicectl fetch --etag-file bo' body.img
in_all 'sluiced --config se' settings.toml

it "the values of options that take one of a few words"
in_all 'sluicectl fetch --digest sha' sha256 sha512

it "the ids of jobs"
in_all 'sluicectl show ' "$id"
in_all "sluicectl cancel ${id:0:3}" "$id"
in_all 'sluicectl watch ' "$id"
in_all 'sluicectl wait ' "$id"
in_all "sluicectl show --socket $system_socket " "$id"

it "a job that has ended can be shown, but not cancelled"
hold_in=${HOLD[1]}
exec {hold_in}>&-
wait "$holder" || :
ended() { [ "$(as member sluicectl show --json "$id" | jq -r .state)" = failed ]; }
eventually 10 ended
in_all 'sluicectl show ' "$id"
for shell in bash zsh fish; do
    equal "$shell" "$(offers $shell 'sluicectl cancel ')" ""
done

it "without a service nothing is offered, and nothing is printed"
systemctl stop sluiced.service
for shell in bash zsh fish; do
    equal "$shell" "$(offers $shell 'sluicectl show ' 2>&1)" ""
done
finish
