"""What may be, and what may not: each job's result against its plan, and the tally."""

from collections import Counter

import plan as planning

# What a pipe can hold at most: more the consumer cannot have missed.
PIPE = 1 << 20
# A job is in the service manager's hands at most this many seconds after it is old enough, on a busy machine:
# counted while the daemon may run, for a frozen one hands nothing over.
STORE_SLACK = 0.75
WHOLE = {"complete", "digestMismatch"}


def _intervals(events):
    """When the daemon was frozen: until it was let go on, or killed in its sleep."""
    freeze = None
    for event in events:
        match event["kind"]:
            case "freeze":
                freeze = event["at"]
            case "thaw" | "kill" if freeze is not None:
                yield freeze, event["at"]
                freeze = None


class Judge:
    """Knows what was done to the service when."""

    def __init__(self, store_after, events, contents, requests):
        self.store_after, self.contents, self.requests = store_after, contents, requests
        self.ends = [event["at"] for event in events if event["kind"] in ("kill", "restart")]
        # A restart loses nothing, however young.
        self.kills = [event["at"] for event in events if event["kind"] == "kill"]
        self.frozen = list(_intervals(events))

    def judge(self, job, result):
        """Sentences about what must not be; empty where all is well."""
        if "wrong" in result:
            return [result["wrong"]]
        if "hang" in result:
            return [f"no end within the time, in the phase {result['phase']}"]
        if "refused" in result:
            return [f"the service refused: {result['refused']}"]
        problems = []
        if result["read"] > job.size:
            problems.append(f"{result['read']} bytes of {job.size}")
        if job.consumer == "sluicectl":
            problems += self._command(job, result)
        elif "forgotten" in result:
            if not self._may_be_lost(result):
                problems.append("the service has forgotten a job that was old enough to be kept")
        else:
            problems += self._outcome(job, result, result["job"])
        return problems

    def _may_be_lost(self, result):
        return any(
            result["asked"] <= at <= result["ended"]
            and self._ran(result["accepted"], at) <= self.store_after + STORE_SLACK for at in self.kills)

    def _ran(self, start, end):
        """How long the daemon may have run between the two times."""
        return end - start - sum(max(0, min(end, thaw) - max(start, freeze)) for freeze, thaw in self.frozen)

    def _right(self, job, result):
        """Whether it is a whole body."""
        sums = {self.contents.sums[version, job.name]["sha256"] for version in result["versions"]}
        return result["read"] == job.size and result["sum"] in sums

    def _command(self, job, result):
        if result["exit"] == 0 and not self._right(job, result):
            return [f"sluicectl says 0 after {result['read']} bytes of {job.size}"]
        if "job" in result:
            return self._outcome(job, result, result["job"])
        # It may have come to a service that was just on its way out.
        is_refused = result["read"] == 0 and any(result["asked"] - 1 <= at <= result["ended"] for at in self.ends)
        if not is_refused and not self._may_be_lost(result):
            return [f"sluicectl says {result['exit']}: {result['said']}"]
        return []

    def _outcome(self, job, result, record):
        problems = []
        code = record["outcome"]["code"]
        delivered = record["bytesDelivered"]
        read = result["read"]
        if result["whole"] and delivered != read:
            problems.append(f"bytesDelivered is {delivered}, and the consumer got {read}")
        if not result["whole"] and not read <= delivered <= read + PIPE:
            problems.append(f"bytesDelivered is {delivered}, and the consumer took {read}")
        if code in WHOLE and delivered != job.size:
            problems.append(f"the outcome is {code} after {delivered} bytes of {job.size}")
        if code in WHOLE and result["whole"] and not self._right(job, result):
            problems.append(f"the outcome is {code}, and the body is wrong")
        troubles = {entry["trouble"] for entry in self.requests.get(job.number, [])}
        possible = planning.possible_codes(job, troubles)
        if code not in possible and not (code == "serviceStopped" and self._may_be_lost(result)):
            problems.append(f"the outcome is {code}, which nothing explains: {record['outcome']['message']}")
        state = {"complete": "complete", "cancelled": "cancelled"}.get(code, "failed")
        if record["state"] != state:
            problems.append(f"the state is {record['state']} and the outcome {code}")
        problems += self._digest(job, result, record, code)
        problems += self._attempts(record, code)
        return problems

    def _digest(self, job, result, record, code):
        asked = job.parameters.get("digest")
        if asked is None or code != "complete" or not result["versions"]:
            return []
        algorithm = asked if asked.startswith("sha") else "sha256"
        sums = [f"{algorithm}:{self.contents.sums[version, job.name][algorithm]}" for version in result["versions"]]
        if record.get("digest") not in sums:
            return [f"the digest is {record.get('digest')} instead of {sums[0]}"]
        return []

    def _attempts(self, record, code):
        log = record["attemptLog"]
        problems = []
        if code == "complete" and not log:
            problems.append("complete without an attempt")
        if log and log[-1]["number"] != record["attempts"]:
            problems.append(f"{record['attempts']} attempts, and the last one has the number {log[-1]['number']}")
        positions = [attempt["position"] for attempt in log] + [record["bytesDelivered"]]
        if positions != sorted(positions):
            problems.append(f"attempts begin at {positions}: they go backwards")
        if any("endedUsec" not in attempt or attempt["endedUsec"] is None for attempt in log):
            problems.append("an attempt of an ended job still runs")
        return problems


class Tally:
    """Counts what was seen."""

    def __init__(self):
        self.outcomes, self.consumers, self.whole = Counter(), Counter(), Counter()
        self.attempts = self.repeated = self.continued = self.bytes = self.again = 0
        self.slowest = 0
        self.most_attempts = 0

    def add(self, job, result):
        record = result.get("job")
        code = record["outcome"]["code"] if record else "forgotten" if "forgotten" in result else "unknown"
        self.outcomes[code] += 1
        self.consumers[job.consumer] += 1
        self.whole[job.consumer] += code == "complete"
        self.bytes += result.get("read", 0)
        self.again += result["again"]
        self.slowest = max(self.slowest, result["ended"] - result["asked"])
        if record:
            self.attempts += record["attempts"]
            self.most_attempts = max(self.most_attempts, record["attempts"])
            self.repeated += record["attempts"] > 1
            positions = {attempt["position"] for attempt in record["attemptLog"]}
            self.continued += code == "complete" and any(0 < position for position in positions)

    def emptiness(self, events):
        """Sentences about what was not tried: a test in which all fails would otherwise be passed by a service that
        does nothing."""
        kinds = Counter(event["kind"] for event in events)
        patient = sum(
            count for name, count in self.consumers.items() if name not in ("vanishes", "cancels"))
        whole = self.outcomes["complete"]
        found = []
        if patient >= 50 and whole < 0.7 * patient:
            found.append(f"only {whole} of {patient} jobs with patient consumers were complete")
        if patient >= 50 and self.continued < 0.1 * whole:
            found.append(f"only {self.continued} of {whole} complete jobs had gone on in the middle")
        for kind in ("lane", "kill", "restart"):
            if patient >= 50 and not kinds[kind]:
                found.append(f"no event of the kind {kind}")
        return found

    def print(self, events, requests, refusals):
        def line(name, text):
            print(f"  {name:11}{text}")

        def counts(counter):
            return ", ".join(f"{name} {count}" for name, count in counter.most_common())

        kinds = Counter(event["kind"] for event in events)
        troubles = Counter(entry["trouble"] for log in requests.values() for entry in log)
        line("outcomes", counts(self.outcomes))
        line("consumers", ", ".join(
            f"{name} {self.whole[name]}/{count}" for name, count in self.consumers.most_common())
            + " (complete/all)")
        line("origin", f"{sum(troubles.values())} requests: {counts(troubles)}; {refusals} times nobody listened")
        line("killed", (
            f"{kinds['lane']} lanes, the daemon {kinds['kill']} times; {kinds['restart']} restarts; the daemon frozen "
            f"{kinds['freeze']} times, the service manager replaced {kinds['reexec']} times"))
        line("attempts", (
            f"{self.attempts}, at most {self.most_attempts} of one job; {self.repeated} jobs had more than one, "
            f"{self.continued} were complete after going on in the middle; {self.again} calls made again"))
        line("bytes", f"{self.bytes / (1 << 20):.1f} MiB read and compared; the slowest job took {self.slowest:.1f} s")
