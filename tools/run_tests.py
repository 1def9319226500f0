#!/usr/bin/env python3
"""run_tests.py [--rerun N] [--flaky FILE] [--log FILE] COMMAND...

Runs COMMAND, a `swift test` that runs Swift Testing's tests, and reports what failed. Exits with 0 if all passed.

With --rerun, each test that failed is run again, alone, N times at most. One that then passes is *flaky*: it is
reported at the end and in FILE, with its messages when it failed, and the run counts as passed. One that fails each time fails the run.

The results are read from Swift Testing's event stream (JSON, a record for each event) and not from its output. The
cases of a parameterized test are run again together; a suite is never run again, only the tests in it. These fail the
run in any case, because nothing shows that the rest is correct:
* a process that crashed, or ended early: the tests that were running are named;
* more than MOST tests that failed, because that is no race;
* an issue that belongs to no test.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

MOST = 10


class Run:
    """The results in the event stream of a run."""

    def __init__(self, lines):
        self.functions = set()
        self.started = []
        self.ended = set()
        self.issues = {}  # the messages of each test that failed
        self.stray = []  # messages that belong to no test
        self.is_complete = False
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the process ended in the middle of it
            if isinstance(record, dict):
                self._take(record.get("kind"), record.get("payload", {}))

    def _take(self, kind, payload):
        if kind == "test":
            if payload.get("kind") == "function":
                self.functions.add(payload["id"])
            return
        test, what = payload.get("testID"), payload.get("kind")
        if what == "testStarted":
            self.started.append(test)
        elif what == "testEnded":
            self.ended.add(test)
        elif what == "runEnded":
            self.is_complete = True
        elif what == "issueRecorded" and is_failure(payload.get("issue", {})):
            text = message(payload)
            if test in self.functions:
                self.issues.setdefault(test, []).append(text)
            else:
                self.stray.append(text)

    @property
    def failed(self):
        """The tests that failed, in the order in which they did."""
        return list(self.issues)

    @property
    def unfinished(self):
        """The tests that were running when the process ended."""
        return [test for test in self.started if test in self.functions and test not in self.ended]

    def passed(self, test):
        """Whether this test has run, and well."""
        return self.is_complete and test in self.ended and not self.issues and not self.stray


def is_failure(issue):
    """Neither a known issue nor a warning."""
    return issue.get("isFailure", True) and not issue.get("isKnown")


def message(payload):
    place = payload.get("issue", {}).get("sourceLocation") or {}
    where = place.get("fileID") or place.get("_filePath", "")
    texts = [part.get("text", "") for part in payload.get("messages", [])]
    return (f"{where}:{place.get('line', '')}: " if where else "") + " | ".join(text for text in texts if text)


def exact(test):
    """The --filter that takes one test and no other: a regular expression for its whole id."""
    escaped = re.sub(r"([!-.;-@\[-^`{-~])", r"\\\1", test)
    # A name may be a sentence. Swift's rules about what else may be escaped differ from Python's.
    return "^" + re.sub(r"[^!-~]", ".", escaped) + "$"


def short(test):
    """The id of a test without its place in the file."""
    return re.sub(r"/[^/]+\.swift:\d+:\d+$", "", test)


def run(command, log):
    """Runs a command with its output to ours and to the log. Returns its exit status and the results in its events."""
    with tempfile.NamedTemporaryFile("r", prefix="events-", encoding="utf-8", errors="replace") as events:
        command = command + ["--event-stream-output-path", events.name, "--event-stream-version", "6.3"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for chunk in iter(lambda: process.stdout.read1(65536), b""):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            log.write(chunk)
        log.flush()
        return process.wait(), Run(events)


def judge(status, first, rerun, again):
    """Returns whether the run passed, the flaky tests, and lines about it.

    `again` runs one test alone and returns its exit status and its Run.
    """
    if status == 0:
        return True, {}, []
    if not first.is_complete:
        return False, {}, ["The test process ended early, in these tests:"] + [
            f"  {short(test)}" for test in first.unfinished
        ]
    if first.stray or not first.issues:
        return False, {}, ["Something failed outside of any test:"] + [f"  {text}" for text in first.stray]
    if rerun == 0:
        return False, {}, []
    if len(first.issues) > MOST:
        return False, {}, [f"{len(first.issues)} tests failed: too many to run each again."]
    flaky, failed = {}, []
    for test in first.failed:
        for _ in range(rerun):
            code, run_again = again(test)
            if code == 0 and run_again.passed(test):
                flaky[test] = first.issues[test]
                break
        else:
            failed.append(test)
    words = [f"failed {1 + rerun} times: {short(test)}" for test in failed]
    return not failed, flaky, words


def flaky_text(flaky):
    lines = []
    for test, issues in flaky.items():
        lines.append(f"flaky: {short(test)}")
        lines += [f"    {line}" for text in issues for line in text.splitlines()]
    return "".join(line + "\n" for line in lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rerun", type=int, default=0)
    parser.add_argument("--flaky", default=os.devnull)
    parser.add_argument("--log", default=os.devnull)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    with open(options.log, "wb") as log:
        status, first = run(options.command, log)

        def again(test):
            print(f"== again, alone: {short(test)}", flush=True)
            return run(without_filter(options.command) + ["--filter", exact(test)], log)

        passed, flaky, words = judge(status, first, options.rerun, again)
    for line in words:
        print(line, file=sys.stderr)
    if flaky:
        text = flaky_text(flaky)
        print(text, end="", file=sys.stderr)
        with open(options.flaky, "a", encoding="utf-8") as file:
            file.write(text)
    return 0 if passed else 1


def without_filter(command):
    """The command without its --filter options, which would add to the one test."""
    result, skips = [], False
    for word in command:
        if not skips and word != "--filter":
            result.append(word)
        skips = word == "--filter"
    return result


if __name__ == "__main__":
    sys.exit(main())
