"""The consumers: read in every manner, compare each byte with what it should be, and say what they saw."""

import hashlib
import json
import mmap
import os
import pwd
import random
import select
import subprocess
import threading
import time

import plan as planning
import wire

MIB = 1 << 20
# A body, from the first call to the outcome.
JOB_SECONDS = 90


class Wrong(Exception):
    """A byte that should not be there."""


class Contents:
    """What the origin's files hold: two versions of each."""

    def __init__(self, folder, names):
        self.maps, self.sums = {}, {}
        for name, size in names.items():
            for version in "ab":
                with open(f"{folder}/{version}/{name}", "rb") as file:
                    data = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) if size else b""
                self.maps[version, name] = memoryview(data)
                self.sums[version, name] = {
                    algorithm: hashlib.new(algorithm, data).hexdigest() for algorithm in ("sha256", "sha512")}


class Body:
    """The read end of a job's pipe. Knows at each moment of which versions the bytes so far are a prefix."""

    def __init__(self, descriptor, contents, job, deadline):
        self.descriptor, self.deadline = descriptor, deadline
        self.expected = {version: contents.maps[version, job.name] for version in "ab"}
        if job.trait != "changes":
            del self.expected["b"]
        self.hash = hashlib.sha256()
        self.read = 0
        self.ended = False
        self.poll = select.poll()
        self.poll.register(descriptor, select.POLLIN)

    def take(self, limit):
        """Reads once, at most so many bytes; false at the end."""
        rest = self.deadline - time.monotonic()
        if rest <= 0 or not self.poll.poll(rest * 1000):
            raise wire.Late
        piece = os.read(self.descriptor, limit)
        if not piece:
            self.ended = True
            return False
        until = self.read + len(piece)
        fitting = {
            version: data for version, data in self.expected.items() if data[self.read:until] == piece}
        if not fitting:
            raise Wrong(self._explain(piece))
        self.expected = fitting
        self.hash.update(piece)
        self.read = until
        return True

    def take_up_to(self, place, limit=MIB):
        """Reads until so many bytes of the body are there; false at the end."""
        while self.read < place:
            if not self.take(min(limit, place - self.read)):
                return False
        return True

    def drain(self):
        while self.take(MIB):
            pass

    def close(self):
        os.close(self.descriptor)

    def _explain(self, piece):
        data = next(iter(self.expected.values()))
        rest = bytes(data[self.read:self.read + len(piece)])
        first = next((i for i, (is_, should) in enumerate(zip(piece, rest)) if is_ != should), len(rest))
        found = bytes(piece[first:first + 32])
        where = bytes(data).find(found) if len(found) >= 16 else -1
        return (
            f"byte {self.read + first} of {len(data)} is wrong (read {len(piece)} bytes at {self.read}): "
            f"{found.hex()} instead of {rest[first:first + 32].hex()}; "
            + (f"these bytes belong to {where}" if where >= 0 else "these bytes are not of this version"))


class Consumer:
    """One job, from the call to the outcome."""

    def __init__(self, setup, contents, number):
        self.setup, self.contents = setup, contents
        self.job = planning.job(setup.seed, number, setup.names)
        self.deadline = time.monotonic() + JOB_SECONDS
        self.result = {"number": number, "asked": time.monotonic(), "phase": "fetch", "again": 0}
        # Pauses and sizes of reads are the plan's, too.
        self.dice = random.Random(f"{setup.seed}/consumer/{number}")

    def run(self):
        result = self.result
        try:
            if self.job.consumer == "sluicectl":
                self._run_command()
            else:
                self._run()
            result["phase"] = "done"
        except Wrong as error:
            result["wrong"] = str(error)
        except wire.Late:
            result["hang"] = True
        except wire.Refused as error:
            result["refused"] = str(error)
        result["ended"] = time.monotonic()
        return result

    def _run(self):
        result, caller = self.result, wire.Caller(self.setup.socket, self.deadline)
        try:
            parameters, passed = caller.call("Fetch", self._parameters())
            result["accepted"] = time.monotonic()
            result["id"] = parameters["id"]
            body = Body(
                passed[parameters["bodyFileDescriptor"]], self.contents, self.job, self.deadline)
            result["phase"] = "read"
            try:
                self._consume(body, caller)
            finally:
                self._account(body)
                body.close()
            result["phase"] = "wait"
            try:
                reply, _ = caller.call("Wait", {"id": result["id"]})
                result["job"] = reply["job"]
            except wire.Refused as error:
                if error.name != "NoSuchJob":
                    raise
                result["forgotten"] = True
        finally:
            result["again"] = caller.again
            caller.close()

    def _parameters(self):
        parameters = dict(self.job.parameters, url=f"{self.setup.origin}/{self.job.number}/{self.job.name}")
        digest = parameters.get("digest")
        if digest == "right":
            # Of the first version: one that has been replaced since has another.
            parameters["digest"] = "sha256:" + self.contents.sums["a", self.job.name]["sha256"]
        elif digest == "wrong":
            parameters["digest"] = "sha256:" + "0" * 64
        return parameters

    def _consume(self, body, caller):
        steps = self.job.steps
        match self.job.consumer:
            case "fast":
                body.drain()
            case "nibbles":
                # Odd numbers, so that nothing ever lines up; larger ones for a large body.
                most = max(4099, self.job.size // 500)
                while body.take(self.dice.randint(1, most)):
                    pass
            case "stalls" | "late":
                for place, seconds in steps:
                    if not body.take_up_to(place):
                        return
                    time.sleep(seconds)
                body.drain()
            case "dribbles":
                (start, stop), = steps
                if body.take_up_to(start) and body.take_up_to(min(stop, start + 7)):
                    while body.read < stop and body.take(7):
                        time.sleep(0.001)
                    if not body.ended:
                        body.drain()
            case "vanishes":
                (place, seconds), = steps
                body.take_up_to(place)
                time.sleep(seconds)
            case "cancels":
                (place, seconds), = steps
                body.take_up_to(place)
                time.sleep(seconds)
                try:
                    caller.call("Cancel", {"id": self.result["id"]})
                except wire.Refused as error:
                    if error.name != "NoSuchJob":
                        raise
                if not body.ended:
                    body.drain()

    def _account(self, body):
        self.result["read"] = body.read
        self.result["whole"] = body.ended
        self.result["versions"] = "".join(body.expected)
        self.result["sum"] = body.hash.hexdigest()

    def _run_command(self):
        """As a person does it."""
        parameters = self._parameters()
        command = [
            self.setup.sluicectl, "--socket", self.setup.socket, "fetch", "--quiet", parameters["url"],
            "--silence-timeout", "2", "--json", "--retries", str(parameters["retries"]),
        ]
        if "digest" in parameters:
            command += ["--digest", parameters["digest"]]
        result = self.result
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        result["accepted"] = time.monotonic()
        result["phase"] = "read"
        body = Body(process.stdout.fileno(), self.contents, self.job, self.deadline)
        try:
            body.drain()
            result["phase"] = "wait"
            _, errors = process.communicate(timeout=max(1, self.deadline - time.monotonic()))
            result["exit"] = process.returncode
            errors = errors.decode(errors="replace").strip()
            result["said"] = errors
            if job := [line for line in errors.splitlines() if line.startswith("{")]:
                result["job"] = json.loads(job[-1])
        except subprocess.TimeoutExpired:
            raise wire.Late from None
        finally:
            self._account(body)
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()
            process.stderr.close()


def main(pipe, setup, numbers):
    """A process: works through the jobs of these numbers in many threads, and sends each result.

    Stops early where it is told to: whatever is sent to it means that.
    """
    user = pwd.getpwnam(setup.user)
    os.initgroups(setup.user, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    contents = Contents(setup.folder, setup.names)
    lock = threading.Lock()
    waiting = iter(numbers)

    def work():
        while True:
            with lock:
                number = None if pipe.poll() else next(waiting, None)
                if number is None:
                    return
            result = Consumer(setup, contents, number).run()
            with lock:
                pipe.send(result)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(setup.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.send(None)
