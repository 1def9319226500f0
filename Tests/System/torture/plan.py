"""What happens to which job: everything here follows from the seed and the job's number alone."""

import random
from dataclasses import dataclass, field

KIB, MIB = 1 << 10, 1 << 20

# Sizes at which something changes hands: nothing at all, pages, receive buffers, pipes, gathers, the two watermarks, and
# what fits into pipe, staging pipe and watermark together.
EDGES = sorted({
    size + difference
    for size in (4 * KIB, 16 * KIB, 64 * KIB, 128 * KIB, 256 * KIB, MIB, MIB + 128 * KIB, MIB + 256 * KIB)
    for difference in (-1, 0, 1)
} | {0, 1})
RANDOM_FILES = 14
LARGEST = 64 * MIB

# What the consumer does, and how often of a hundred.
CONSUMERS = {"fast": 30, "nibbles": 8, "stalls": 20, "late": 8, "dribbles": 12, "vanishes": 12, "cancels": 4, "sluicectl": 6}
# What kind of a resource it is, whoever asks.
TRAITS = {
    "plain": 78, "last-modified": 5, "no-validator": 3, "weak": 3, "chunked": 3, "changes": 4, "ignores-range": 4,
}
# What may go wrong with one request.
TROUBLES = {
    "fin": 28, "rst": 24, "pause": 8, "silence": 3, "status": 12, "whole": 6, "reset-at-once": 8, "head-cut": 1,
    "wrong-start": 2, "other-etag": 2, "other-length": 2, "no-etag": 2, "multipart": 2, "unsatisfiable": 2, "trickle": 6,
}


def choose(dice, weights):
    return dice.choices(list(weights), list(weights.values()))[0]


def position(dice, size):
    """A byte of a body to do something at: 0 to size. Often at an edge, where there is one."""
    edges = [edge for edge in EDGES if edge <= size]
    return dice.choice(edges) if dice.random() < 0.3 else dice.randint(0, size)


def files(seed):
    """Names and sizes of what the origin serves."""
    dice = random.Random(f"{seed}/files")
    sizes = EDGES + [round(2 ** dice.uniform(8, 23)) for _ in range(RANDOM_FILES)] + [LARGEST]
    return {f"{number:02}-{size}": size for number, size in enumerate(sizes)}


@dataclass
class Job:
    """One job, as planned."""
    number: int
    name: str
    size: int
    trait: str
    # The chance of trouble with one request.
    badness: float
    # The request from which on the origin has another version (trait `changes`).
    changes_at: int
    consumer: str
    # What the consumer needs to know: positions, pauses.
    steps: list = field(default_factory=list)
    # Parameters of Fetch beside the URL; `digest` may be "right", "wrong" or an algorithm.
    parameters: dict = field(default_factory=dict)


def job(seed, number, names):
    """The job of this number; those below 0 are there to warm up, and nothing happens to them."""
    dice = random.Random(f"{seed}/job/{number}")
    kinds = list(names)
    large = kinds[-1]
    draw = dice.random()
    if draw < 0.02:
        name = large
    elif draw < 0.4:
        name = dice.choice(kinds[:len(EDGES)])
    else:
        name = dice.choice(kinds[len(EDGES):-1])
    size = names[name]
    trait = choose(dice, TRAITS)
    consumer = choose(dice, CONSUMERS)
    plan = Job(number, name, size, trait, dice.choice((0.2, 0.35, 0.6)), dice.randint(1, 3), consumer)
    if consumer == "stalls":
        places = sorted(position(dice, size) for _ in range(dice.randint(1, 3)))
        plan.steps = [(place, dice.choice((0.3, 1.0, 1.6, 2.5))) for place in places]
    elif consumer == "late":
        plan.steps = [(0, dice.uniform(0.2, 3))]
    elif consumer == "dribbles":
        start = dice.choice((0, position(dice, size)))
        plan.steps = [(start, start + dice.randint(100, 14_000))]
    elif consumer in ("vanishes", "cancels"):
        # Where, and after how long a rest there.
        plan.steps = [(position(dice, size), dice.choice((0, 0, 0.2, 1.5)))]

    parameters = plan.parameters
    parameters["retries"] = dice.choice((0, 1, 3)) if dice.random() < 0.12 else 20
    parameters["silenceTimeoutSeconds"] = 2
    parameters["connectTimeoutSeconds"] = 10
    if dice.random() < 0.2:
        high = dice.choice((1, 4 * KIB, 64 * KIB, 256 * KIB, 300_000, 4 * MIB))
        parameters["highWatermark"] = high
        parameters["lowWatermark"] = dice.choice((0, high // 4, high - 1))
    if dice.random() < 0.04:
        parameters["deadlineSeconds"] = dice.choice((0.3, 1, 2))
    draw = dice.random()
    if draw < 0.2:
        parameters["digest"] = "right"
    elif draw < 0.3:
        parameters["digest"] = dice.choice(("sha256", "sha512"))
    elif draw < 0.32:
        parameters["digest"] = "wrong"
    if consumer == "sluicectl":
        plan.parameters = {name: parameters[name] for name in ("retries", "digest") if name in parameters}
    if number < 0:
        plan.trait, plan.badness, plan.consumer, plan.steps, plan.parameters = "plain", 0, "fast", [], {}
    return plan


@dataclass
class Trouble:
    """What the proxy does with one request. `place` is asked for once it is known how many bytes there are to send."""
    kind: str = "none"
    seconds: float = 0
    status: int = 503
    retry_after: str | None = None
    dice: random.Random | None = None

    def place(self, length):
        return position(self.dice, length)


def trouble(seed, plan, request):
    """The trouble with a job's request of this number, from 0 on."""
    dice = random.Random(f"{seed}/request/{plan.number}/{request}")
    # However bad, one of seven goes well: a job that is patient enough comes to its end.
    if request % 7 == 6 or dice.random() >= plan.badness:
        return Trouble()
    kind = choose(dice, TROUBLES)
    seconds = dice.uniform(0.05, 1.2) if kind in ("pause", "trickle") else 4
    return Trouble(
        kind, seconds, dice.choice((408, 429, 500, 502, 503, 503, 503, 504)),
        dice.choice((None, "0", "1", "date", "-1", "soon")), dice)


# What a job that is never tried in vain again may end with, by what the origin does to it.
WHEREVER = {
    "complete", "connectionRefused", "connectFailed", "connectTimeout", "headTimeout", "connectionLost", "truncated",
    "silenceTimeout", "httpStatus", "laneDied", "originGaveUp",
}
BY_TRAIT = {
    "no-validator": {"noValidator", "notResumable", "consumerTooSlow"},
    "weak": {"weakValidator", "notResumable", "consumerTooSlow"},
    "chunked": {"notResumable", "consumerTooSlow"},
    "changes": {"resourceChanged"},
}
BY_TROUBLE = {
    "head-cut": {"protocolError"},
    "reset-at-once": {"protocolError"},
    "wrong-start": {"wrongRange"},
    "other-etag": {"resourceChanged", "unknownVersion"},
    "other-length": {"lengthChanged"},
    "no-etag": {"unknownVersion"},
    "multipart": {"multipartRange"},
    "unsatisfiable": {"rangeNotSatisfiable"},
}
BY_CONSUMER = {"vanishes": {"consumerGone"}, "cancels": {"cancelled"}}


def possible_codes(plan, troubles):
    """The outcomes that this job may have, given what the proxy really did."""
    codes = WHEREVER | BY_TRAIT.get(plan.trait, set()) | BY_CONSUMER.get(plan.consumer, set())
    for kind in troubles:
        codes |= BY_TROUBLE.get(kind, set())
    if "deadlineSeconds" in plan.parameters:
        codes |= {"deadlineExceeded"}
    if plan.trait == "changes" and plan.parameters.get("digest") == "right":
        codes |= {"digestMismatch"}
    if plan.parameters.get("digest") == "wrong":
        codes = codes - {"complete"} | {"digestMismatch"}
    return codes
