"""A user who tries what can be tried, for hostile.sh; and one who only wants bodies.

hostile.py SOCKET bystander URL FILE   fetches 10 KiB bodies ten times a second until standard input ends; writes for
                                       each its milliseconds, or why it failed, to the file
hostile.py SOCKET ATTACK SECONDS URL   does one thing for so long, and prints what came of it:
                                       descriptors, texts, halves, lists, crowd, noise, long, deep
"""

import array
import json
import os
import resource
import select
import socket
import struct
import sys
import time

INTERFACE = "io.sluice.Ingest."
# Where nobody accepts, a queue of connections holds net.core.somaxconn and one more; a connect(2) after that waits for
# minutes, and the attacker would be the one who is stopped.
LINGERING = 4096
PATH = sys.argv[1]


def connect():
    connection = socket.socket(socket.AF_UNIX)
    # As a client does: it waits where there is no place in the queue.
    connection.connect(PATH)
    connection.settimeout(60)
    return connection


def message(method, parameters, **more):
    name = method if "." in method else INTERFACE + method
    return json.dumps({"method": name, "parameters": parameters, **more}, ensure_ascii=False).encode() + b"\0"


def receive(connection):
    """The next reply, with the descriptors that came with it; None at the end."""
    data, passed = b"", array.array("i")
    while not data.endswith(b"\0"):
        try:
            piece, control, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(16 * passed.itemsize))
        except OSError:
            return None, []
        if not piece:
            return None, []
        data += piece
        for _, _, content in control:
            passed.frombytes(content)
    return json.loads(data.split(b"\0")[0]), list(passed)


def fetch(connection, url):
    connection.sendall(message("Fetch", {"url": url}))
    reply, passed = receive(connection)
    if reply is None or "error" in reply:
        raise OSError(f"refused: {reply}")
    return passed[reply["parameters"]["bodyFileDescriptor"]]


def bystander(url, path):
    with open(path, "w", encoding="ascii", buffering=1) as result:
        # Often enough that a hundredth of them are several.
        while not select.select([sys.stdin], [], [], 0.1)[0]:
            began = time.monotonic()
            try:
                with connect() as connection:
                    body = fetch(connection, url)
                    count = 0
                    while piece := os.read(body, 65536):
                        count += len(piece)
                    os.close(body)
                if count != 10240:
                    raise OSError(f"{count} bytes")
                print(round((time.monotonic() - began) * 1000), file=result)
            except OSError as error:
                print(f"failed: {error}".replace("\n", " "), file=result)


def lingering(peer):
    """A TCP connection with unsent bytes, whose last close(2) waits for a minute."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    connection.connect(peer.getsockname())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
    connection.setblocking(False)
    try:
        while True:
            connection.send(b"x" * (1 << 20))
    except BlockingIOError:
        return connection


def passing(connection, data, descriptors):
    try:
        connection.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))])
    except OSError:
        pass


def descriptors(until, _):
    """Passes sockets that linger: with a call, behind a Watch, unread on many connections."""
    peer = socket.socket()
    # Full buffers of the usual size, by the thousand, would use up tcp_mem, which is of the whole machine.
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    peer.bind(("127.0.0.1", 0))
    peer.listen(LINGERING)
    count = 0
    while time.monotonic() < until and count < LINGERING:
        held = [connect() for _ in range(min(20, LINGERING - count))]
        for number, connection in enumerate(held):
            mine = lingering(peer)
            if number % 3 == 0:
                connection.sendall(message("Watch", {}, more=True))
            passing(connection, message("Status", {}) if number % 3 else b"{", [mine.fileno()])
            mine.close()
            count += 1
        for connection in held:
            connection.close()
    return f"{count} descriptors"


def in_turn(messages, until):
    """Sends one message after the other, each on a connection of its own, and waits for its answer; how many."""
    count = 0
    while time.monotonic() < until:
        with connect() as connection:
            try:
                connection.sendall(messages[count % len(messages)])
            except OSError:
                # It has been refused before all of it was sent: the answer is there.
                pass
            receive(connection)
        count += 1
    return count


def texts(until, _):
    """Texts that take long to compare, as values, names and methods."""
    marks = "a" + "\u0301\u0323" * 60_000
    attacks = [
        message("Show", {"id": marks}), message("Show", {marks: 1}), message(marks, {}),
        message("Fetch", {"url": "http://h/", "digest": marks}), message("Show", {"id": "é" * 120_000}),
        message("Show", {"id": marks}).decode().encode("ascii", "backslashreplace"),
    ]
    return f"{in_turn(attacks, until)} texts"


def many(most):
    """As many connections as this user may have, up to so many."""
    held = []
    for _ in range(most):
        try:
            connection = connect()
        except OSError:
            break
        connection.setblocking(False)
        held.append(connection)
    return held


def send_now(connection, data):
    try:
        connection.send(data)
    except OSError:
        pass


def halves(until, _):
    """Half a call of 250 KB on each of thousands of connections."""
    held = many(4096)
    while time.monotonic() < until:
        for connection in held:
            send_now(connection, b'{"method":"' + b"x" * 250_000)
        time.sleep(0.5)
    return f"{len(held)} connections"


def lists(until, _):
    """Lists that nobody reads, on thousands of connections."""
    held = many(4096)
    while time.monotonic() < until:
        for connection in held:
            send_now(connection, message("List", {"limit": 500}))
        time.sleep(0.2)
    return f"{len(held)} connections"


def crowd(until, _):
    """Connections, again and again."""
    count = 0
    while time.monotonic() < until:
        held = many(2000)
        count += len(held)
        for connection in held:
            connection.close()
    return f"{count} connections"


def noise(until, url):
    """Jobs that fail at once."""
    count = 0
    with connect() as connection:
        while time.monotonic() < until:
            try:
                os.close(fetch(connection, url + "?none"))
            except OSError:
                time.sleep(0.05)
            count += 1
    return f"{count} jobs"


def long(until, _):
    """Values without end: arrays, numbers, duplicates."""
    attacks = [
        b'{"method":"io.sluice.Ingest.Fetch","parameters":{"url":"http://h/","headers":[' + b"[]," * 80_000 + b"[]]}}\0",
        b'{"method":"io.sluice.Ingest.Show","parameters":{"id":' + b"1" * 250_000 + b"}}\0",
        b'{"method":"io.sluice.Ingest.Show",' + b'"method":"x",' * 15_000 + b'"a":1}\0',
        b'{"method":"io.sluice.Ingest.List","parameters":{"after":9223372036854775807,"limit":500}}\0',
        b'{"method":"io.sluice.Ingest.List","parameters":{"after":-9223372036854775808,"limit":1e400}}\0',
    ]
    return f"{in_turn(attacks, until)} calls"


def deep(until, _):
    """Brackets in brackets."""
    return f"{in_turn([b'[{' * 100_000 + bytes(1)], until)} calls"


soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
what, arguments = sys.argv[2], sys.argv[3:]
if what == "bystander":
    bystander(*arguments)
else:
    attacks = {one.__name__: one for one in (descriptors, texts, halves, lists, crowd, noise, long, deep)}
    print(what + ":", attacks[what](time.monotonic() + float(arguments[0]), arguments[1]))
