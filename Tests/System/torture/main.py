"""The torture of a running sluiced.service: see torture.sh, which starts it.

main.py FOLDER SEED JOBS SECONDS [NUMBER...]

FOLDER is nginx's, which listens on port 8080. SECONDS is for new jobs to begin. With NUMBERs only these jobs of the
plan run, with the same troubles. Prints the tally; 0 only if nothing was wrong.
"""

import json
import multiprocessing
import multiprocessing.connection
import os
import random
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

import consumer
import idle
import plan
import proxy
import trouble
import verdict

UNIT = "sluiced.service"
SOCKET = "/run/sluice/io.sluice.Ingest"
NGINX, PROXY = 8080, 8081
CONSUMER_PROCESSES = 2
# As in torture.sh.
STORE_AFTER = 0.25


@dataclass
class Setup:
    """What every process knows."""
    seed: str
    folder: str
    names: dict
    threads: int = 20
    socket: str = SOCKET
    origin: str = f"http://127.0.0.1:{PROXY}"
    user: str = "member"
    sluicectl: str = "/usr/bin/sluicectl"


def make_files(setup):
    """Two versions of each file, of random bytes. Their dates are old, and so strong validators."""
    blob = memoryview(random.Random(f"{setup.seed}/bytes").randbytes(plan.LARGEST + (1 << 20)))
    dice = random.Random(f"{setup.seed}/offsets")
    for age, version in ((200_000, "a"), (100_000, "b")):
        os.makedirs(f"{setup.folder}/{version}", exist_ok=True)
        for number, (name, size) in enumerate(setup.names.items()):
            path = f"{setup.folder}/{version}/{name}"
            start = dice.randrange(1 << 20)
            with open(path, "wb") as file:
                file.write(blob[start:start + size])
            when = int(time.time()) - age - number
            os.utime(path, (when, when))


def start(target, *arguments):
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=target, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    return process, ours


class Run:
    """The processes of one run, and what they have said."""

    def __init__(self, setup):
        self.setup = setup
        self.results, self.events = [], []
        self.requests, self.refusals = {}, 0
        self.failures = []

    def jobs(self, numbers, seconds, with_kills):
        """Runs the jobs of these numbers; false where a process of ours has failed."""
        began = time.monotonic()
        self.proxy = start(proxy.main, self.setup.seed, PROXY, NGINX, self.setup.names)
        consumers = [
            start(consumer.main, self.setup, numbers[part::CONSUMER_PROCESSES])
            for part in range(CONSUMER_PROCESSES)]
        kills = start(trouble.main, UNIT, self.setup.seed) if with_kills else None
        working = {pipe for _, pipe in consumers}
        told = False
        while working:
            if not told and time.monotonic() - began > seconds:
                told = True
                for pipe in working:
                    pipe.send("no more")
            if time.monotonic() - began > seconds + 2 * consumer.JOB_SECONDS:
                self.failures.append("the consumers do not come to an end")
                break
            sources = working | ({kills[1]} if kills else set())
            for pipe in multiprocessing.connection.wait(sources, 1):
                try:
                    message = pipe.recv()
                except EOFError:
                    self.failures.append("a process of the test has failed")
                    working.discard(pipe)
                    if kills and pipe is kills[1]:
                        kills = None
                    continue
                if kills and pipe is kills[1]:
                    self.events.append(message)
                elif message is None:
                    working.discard(pipe)
                else:
                    self.results.append(message)
        if kills:
            self._finish_kills(*kills)
        self._finish_proxy()
        for process, _ in consumers:
            process.join(5)
            if process.is_alive():
                process.kill()
        return time.monotonic() - began

    def _finish_kills(self, process, pipe):
        pipe.send("stop")
        while (message := pipe.recv()) is not None:
            self.events.append(message)
        process.join()

    def _finish_proxy(self):
        process, pipe = self.proxy
        pipe.send("stop")
        self.requests, self.refusals = pipe.recv()
        process.join()


def story(run, job, result, problems):
    """All that is known of a job with which something is wrong."""
    print(f"\njob {job.number}: " + "; ".join(problems))
    print("  plan    " + json.dumps(asdict(job)))
    print("  result  " + json.dumps(result))
    for entry in run.requests.get(job.number, []):
        print(f"  request at {entry['at'] - result['asked']:.3f} s: {entry['range'] or 'all'}, "
              f"{entry['trouble']}, {entry['sent']} bytes sent")
    for event in run.events:
        if result["asked"] <= event["at"] <= result["ended"]:
            print(f"  at {event['at'] - result['asked']:.3f} s: " + json.dumps(event))
    number = result.get("id") or (result.get("job") or {}).get("id")
    if number:
        journal = subprocess.run(
            ["journalctl", "--no-pager", "-q", "-o", "short-monotonic", f"SLUICE_JOB={number}"],
            capture_output=True, text=True, check=False).stdout
        for line in journal.splitlines()[-40:]:
            print("  journal " + line[:300])


def main():
    folder, seed, jobs, seconds = sys.argv[1:5]
    chosen = [int(number) for number in sys.argv[5:]]
    setup = Setup(seed, folder, plan.files(seed))
    make_files(setup)
    contents = consumer.Contents(folder, setup.names)

    warm = Run(setup)
    warm.jobs(list(range(-12, 0)), 60, with_kills=False)
    before = idle.settle(UNIT, SOCKET)
    print(f"idle before: {before}", flush=True)

    run = Run(setup)
    took = run.jobs(chosen or list(range(int(jobs))), float(seconds), with_kills=True)
    after = idle.settle(UNIT, SOCKET)

    judge = verdict.Judge(STORE_AFTER, run.events, contents, run.requests)
    tally = verdict.Tally()
    bad = 0
    for result in warm.results + run.results:
        job = plan.job(seed, result["number"], setup.names)
        problems = judge.judge(job, result)
        if job.number >= 0:
            tally.add(job, result)
        if problems:
            bad += 1
            if bad <= 20:
                story(run, job, result, problems)
            elif bad <= 200:
                print(f"job {job.number}: " + "; ".join(problems)[:300])
    failures = warm.failures + run.failures
    failures += [event["what"] for event in run.events if event["kind"] == "unexpected"]
    failures += idle.growth(before, after)
    if not chosen:
        failures += tally.emptiness(run.events)
    print(f"\ntorture: seed {seed}, {len(run.results)} jobs in {took:.0f} s")
    tally.print(run.events, run.requests, run.refusals)
    print(f"  idle       before: {before}\n             after:  {after}")
    for failure in failures:
        print("wrong: " + failure)
    if bad or failures:
        numbers = f"{bad} of the jobs went wrong" if bad else "all jobs were right"
        print(f"{numbers}; repeat with: make torture SEED={seed} JOBS={jobs}")
        sys.exit(1)
    print("  every body was right or an exact prefix, and every outcome said so")


if __name__ == "__main__":
    main()
