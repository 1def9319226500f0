"""A Varlink client in a few lines (https://varlink.org/Method-Call), for the tests under systemd.

client.py SOCKET call METHOD [JSON]   prints the reply's parameters
client.py SOCKET drain URL            fetches and prints "BYTES SECONDS SHA256 JOB"
client.py SOCKET hold COUNT URL       fetches COUNT times, reads nothing, says "held", and waits for standard input to end
client.py SOCKET fill URL             fetches over one connection until it is refused, says "COUNT ERROR", waits for
                                      standard input to end, reads all bodies and prints "COUNT SHA256" for each digest
client.py SOCKET crowd COUNT          connects COUNT times, prints "SERVED REFUSED ERROR", and goes
"""

import array
import collections
import hashlib
import json
import os
import socket
import sys
import time

INTERFACE = "io.sluice.Ingest."


def connect():
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(sys.argv[1])
    return connection


class Refused(Exception):
    """The service answered with an error."""


def call(connection, method, parameters):
    """The reply's parameters, and the descriptors that came with it."""
    name = method if "." in method else INTERFACE + method
    try:
        connection.sendall(json.dumps({"method": name, "parameters": parameters}).encode() + b"\0")
    except BrokenPipeError:
        # Turned away at the door: why is there to be read.
        pass
    reply, passed = b"", array.array("i")
    while not reply.endswith(b"\0"):
        data, control, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(16 * passed.itemsize))
        if not data:
            sys.exit(f"{name}: the service closed the connection")
        reply += data
        for level, kind, content in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                passed.frombytes(content)
    message = json.loads(reply[:-1])
    if "error" in message:
        raise Refused(f"{name}: {message}")
    return message.get("parameters", {}), list(passed)


def fetch(connection, url):
    parameters, passed = call(connection, "Fetch", {"url": url})
    return parameters["id"], passed[parameters["bodyFileDescriptor"]]


def drain(url):
    connection = connect()
    started = time.monotonic()
    job, body = fetch(connection, url)
    digest, count = hashlib.sha256(), 0
    while piece := os.read(body, 1 << 20):
        digest.update(piece)
        count += len(piece)
    seconds = time.monotonic() - started
    print(count, f"{seconds:.3f}", digest.hexdigest(), job)


def hold(count, url):
    held = []
    for _ in range(count):
        connection = connect()
        held.append((connection, fetch(connection, url)))
    print("held", flush=True)
    sys.stdin.read()


def fill(url):
    connection, bodies = connect(), []
    try:
        while True:
            bodies.append(fetch(connection, url)[1])
    except Refused as refusal:
        print(len(bodies), refusal, flush=True)
    sys.stdin.read()
    digests = collections.Counter()
    for body in bodies:
        with open(body, "rb") as file:
            digests[hashlib.file_digest(file, "sha256").hexdigest()] += 1
    for digest, count in digests.items():
        print(count, digest, flush=True)


def crowd(count):
    connections, served, refusals = [], 0, []
    for _ in range(count):
        connections.append(connect())
        try:
            call(connections[-1], "Status", {})
            served += 1
        except (Refused, OSError) as refusal:
            refusals.append(str(refusal))
    print(served, len(refusals), refusals[-1] if refusals else "")


command, arguments = sys.argv[2], sys.argv[3:]
try:
    if command == "call":
        reply, _ = call(connect(), arguments[0], json.loads(arguments[1]) if len(arguments) > 1 else {})
        print(json.dumps(reply))
    elif command == "drain":
        drain(arguments[0])
    elif command == "hold":
        hold(int(arguments[0]), arguments[1])
    elif command == "fill":
        fill(arguments[0])
    elif command == "crowd":
        crowd(int(arguments[0]))
    else:
        sys.exit(__doc__)
except Refused as refusal:
    sys.exit(str(refusal))
