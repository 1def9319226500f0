#!/bin/bash
# The examples of the manual, as a reader would type them: see Tests/Man/README.md.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
examples=$repository/Tests/Man/examples.py
export origin www=$scratch/www
install_sluice
start_origin
mkdir -p "$scratch/source/src"
echo 'all:' > "$scratch/source/src/Makefile"
tar czf "$www/src.tar.gz" -C "$scratch/source" src
{ echo name,value; seq -f 'row %g,1' 200000; } > "$www/list.csv"
head -c 24M /dev/urandom > "$www/disk.img"
chmod -R a+rX "$www"

# The commands that the marks may use; see the README.
job() {
    local known
    known=$(sluicectl list --json)
    { sluicectl fetch --quiet "$origin$1" | eval "${2:-cat}"; } > /dev/null 2>&1 &
    eventually 20 new_job "$known"
}
new_job() {
    ID=$(sluicectl list --json | jq -r --argjson known "$1" 'map(.id) - ($known | map(.id)) | first // empty')
    export ID
    [ -n "$ID" ]
}
state() { [ "$(sluicectl show --json "$ID" | jq -r .state)" = "$1" ]; }
export repository slowness_at_start
export -f fail eventually measure_slowness milliseconds as message_id logged job new_job state

# example PAGE NUMBER: runs it in the page's own directory, `here`.
example() {
    local kind detail where
    read -r kind detail where <<< "$(python3 "$examples" kind "$1" "$2")"
    case $kind in
        none) ;;
        file) python3 "$examples" text "$1" "$2" > "$here/$detail" ;;
        settings)
            python3 "$examples" text "$1" "$2" | settings
            systemctl restart sluiced.service
            as member sluicectl fetch --quiet "$origin/list.csv" | cmp - "$www/list.csv"
            ;;
        run)
            python3 "$examples" script "$1" "$2" > "$here/script"
            # A session of its own, so that the processes that it leaves behind can be ended together.
            (cd "$here" && exec timeout 60 setsid runuser -u "$detail" -- bash "$here/script") < /dev/null \
                || fail "$where: $(cat "$here/script")"
            ran=$((ran + 1))
            ;;
    esac
}

systemctl start sluiced.service
ran=0
for page in "$repository"/man/*.[1-8]; do
    it "the examples of $(basename "$page") do what they say"
    here=$(mktemp -d)
    chmod 777 "$here"
    count=$(python3 "$examples" count "$page")
    for ((number = 0; number < count; number++)); do example "$page" $number; done
done
echo "$ran command lines"
[ "$ran" -ge 30 ] || fail "that is not all of them"
finish
