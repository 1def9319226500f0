#!/bin/bash
# alone: it needs the whole machine
# Everything at once, at random: an origin that cuts connections, lanes and the daemon killed, restarts, consumers that
# stall, dribble and vanish. For every job: the whole body and `complete`, or an exact prefix and `failed`.
#
# SLUICE_TORTURE_SEED, _JOBS, _SECONDS and _NUMBERS in the environment are the arguments of torture/main.py. The same
# seed gives the same files, jobs, consumers and faults; the times of the kills differ in each run.
# shellcheck source=lib.sh
source "$1/Tests/System/lib.sh"
install_sluice
settings <<'TOML'
[lanes]
maximum = 12
idle_seconds = 1
[retries]
base_seconds = 0.05
longest_seconds = 0.5
longest_retry_after_seconds = 1
[parking]
after_seconds = 0.8
[restart]
store_after_seconds = 0.25
[limits]
remembered_jobs_per_user = 10000
TOML
drop_in torture <<'UNIT'
[Service]
RestartSec=100ms
LogRateLimitIntervalSec=1s
LogRateLimitBurst=1000000
UNIT
start_origin
chmod 755 "$scratch/www"
systemctl start sluiced.socket sluiced.service

it "every body is right or an exact prefix, and every outcome agrees with it"
ulimit -n 8192
# shellcheck disable=SC2086  # a list
python3 "$repository/Tests/System/torture/main.py" "$scratch/www" \
    "${SLUICE_TORTURE_SEED:-1}" "${SLUICE_TORTURE_JOBS:-500}" "${SLUICE_TORTURE_SECONDS:-60}" ${SLUICE_TORTURE_NUMBERS:-}
finish
