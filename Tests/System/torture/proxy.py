"""The misbehaving proxy between the service and a real nginx.

What it does with each request is in the plan. It never lies undetectably: what it says of a piece of a body is true, or
can be seen to be wrong from the head of the response.
"""

import email.utils
import os
import random
import socket
import struct
import threading
import time

import plan as planning

PIECE = 256 << 10
BOUNDARY = "sluice-torture"


class Cut(Exception):
    """The connection has been ended, by plan or by the other side."""


class Proxy:
    """Listens, and now and then does not."""

    def __init__(self, seed, port, upstream, names):
        self.seed, self.port, self.upstream, self.names = seed, port, upstream, names
        self.lock = threading.Lock()
        # By job: what was done with each of its requests.
        self.log = {}
        self.refusals = 0
        self.closing = False

    def run(self):
        dice = random.Random(f"{self.seed}/proxy")
        listener = self._listen()
        until = time.monotonic() + dice.expovariate(1 / 4)
        while not self.closing:
            listener.settimeout(max(0.01, min(0.5, until - time.monotonic())))
            try:
                client, _ = listener.accept()
                client.settimeout(120)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()
            except TimeoutError:
                pass
            if time.monotonic() >= until:
                # For a moment nobody listens: connections are refused.
                listener.close()
                time.sleep(dice.uniform(0.02, 0.3))
                self.refusals += 1
                listener = self._listen()
                until = time.monotonic() + dice.expovariate(1 / 4)

    def _listen(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(512)
        return listener

    def _serve(self, client):
        try:
            with client:
                while self._serve_one(client):
                    pass
        except (Cut, OSError):
            pass

    def _serve_one(self, client):
        head = read_head(client)
        if head is None:
            return False
        lines = head.split("\r\n")
        _, number, name = lines[0].split(" ")[1].split("/")
        fields = parse_fields(lines[1:])
        job = planning.job(self.seed, int(number), self.names)
        with self.lock:
            log = self.log.setdefault(int(number), [])
            entry = {"at": time.monotonic(), "range": fields.get("range"), "trouble": "none", "sent": 0}
            request = len(log)
            log.append(entry)
        Exchange(self, client, job, request, name, fields, entry).run()
        return True


class Exchange:
    """One request and its response."""

    def __init__(self, proxy, client, job, request, name, fields, entry):
        self.proxy, self.client, self.job, self.name, self.entry = proxy, client, job, name, entry
        self.fields = fields
        self.trouble = planning.trouble(proxy.seed, job, request)
        self.version = "b" if job.trait == "changes" and request >= job.changes_at else "a"
        self.range = fields.get("range")

    def run(self):
        trouble = self.trouble
        kind = trouble.kind
        # Lies about a part need a request for a part.
        if kind in ("whole", "wrong-start", "other-length", "multipart", "unsatisfiable", "no-etag") and not self.range:
            kind = "none"
        if self.job.trait == "ignores-range" and kind in ("wrong-start", "multipart"):
            kind = "none"
        self.kind = self.entry["trouble"] = kind
        if kind == "reset-at-once":
            reset(self.client)
        if kind == "status":
            return self._refuse()
        if kind == "unsatisfiable":
            self.client.sendall(
                b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */1\r\nContent-Length: 0\r\n\r\n")
            return
        if self.job.trait == "ignores-range" or kind == "whole":
            self.range = None
        if kind == "wrong-start":
            first = int(self.range.removeprefix("bytes=").split("-")[0])
            self.range = f"bytes={max(0, first - 1)}-"
        with socket.create_connection(("127.0.0.1", self.proxy.upstream), timeout=60) as upstream:
            upstream.sendall(self._question().encode("latin-1"))
            head = read_head(upstream)
            if head is None:
                raise Cut
            self._answer(head, upstream)

    def _question(self):
        lines = [f"GET /{self.version}/{self.name} HTTP/1.1", "Host: origin", "Connection: close"]
        if self.range:
            lines.append(f"Range: {self.range}")
            if condition := self.fields.get("if-range"):
                # The validators that this proxy has changed are not nginx's.
                lines.append(f"If-Range: {condition}")
        return "\r\n".join(lines) + "\r\n\r\n"

    def _answer(self, head, upstream):
        lines = head.split("\r\n")
        status = int(lines[0].split(" ")[1])
        fields = parse_fields(lines[1:])
        length = int(fields.get("content-length", 0))
        out = {
            "Date": fields["date"], "Content-Type": "application/octet-stream", "Content-Length": str(length),
            "ETag": fields.get("etag"), "Last-Modified": fields.get("last-modified"),
            "Content-Range": fields.get("content-range"),
        }
        match self.job.trait:
            case "no-validator":
                out["ETag"] = out["Last-Modified"] = None
            case "weak":
                out["ETag"], out["Last-Modified"] = f"W/{out['ETag']}", None
            case "last-modified":
                out["ETag"] = None
            case "chunked":
                out["Content-Length"] = None
                out["Transfer-Encoding"] = "chunked"
        prefix = b""
        match self.kind:
            case "other-etag" if out["ETag"]:
                out["ETag"] = '"another"'
            case "no-etag":
                out["ETag"] = out["Last-Modified"] = None
            case "other-length" if status == 206:
                span, total = out["Content-Range"].split("/")
                out["Content-Range"] = f"{span}/{int(total) + 1}"
            case "multipart" if status == 206:
                out["Content-Type"] = f"multipart/byteranges; boundary={BOUNDARY}"
                prefix = f"--{BOUNDARY}\r\nContent-Range: {out['Content-Range']}\r\n\r\n".encode()
                out["Content-Range"] = None
                out["Content-Length"] = str(length + len(prefix))
        head = f"HTTP/1.1 {status} As Planned\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in out.items() if value is not None) + "\r\n"
        head = head.encode("latin-1")
        if self.kind == "head-cut":
            self.client.sendall(head[:len(head) // 2])
            end(self.client)
        self.client.sendall(head + prefix)
        self._body(upstream, length)

    def _body(self, upstream, length):
        trouble, sent = self.trouble, 0
        place = trouble.place(length) if self.kind in ("fin", "rst", "pause", "silence", "trickle") else None
        chunked = self.job.trait == "chunked"
        buffer = memoryview(bytearray(PIECE))
        while sent < length:
            if place == sent:
                self._at_place(upstream)
                if self.kind == "trickle":
                    # A few small pieces with pauses between them, then on as usual.
                    place = sent + trouble.dice.randint(1, 3000) if trouble.seconds > 0 else None
                    trouble.seconds -= 0.05
                else:
                    place = None
            limit = PIECE if place is None else min(PIECE, place - sent)
            count = upstream.recv_into(buffer[:limit])
            if count == 0:
                raise Cut
            if chunked:
                self.client.sendall(b"%x\r\n" % count + buffer[:count] + b"\r\n")
            else:
                self.client.sendall(buffer[:count])
            sent += count
            self.entry["sent"] = sent
        if place == sent:
            self._at_place(upstream)
        if chunked:
            self.client.sendall(b"0\r\n\r\n")

    def _at_place(self, upstream):
        match self.kind:
            case "fin":
                upstream.close()
                end(self.client)
            case "rst":
                upstream.close()
                reset(self.client)
            case "pause" | "silence":
                time.sleep(self.trouble.seconds)
            case "trickle":
                time.sleep(0.02)

    def _refuse(self):
        trouble = self.trouble
        after = trouble.retry_after
        if after == "date":
            after = email.utils.formatdate(time.time() + 1, usegmt=True)
        lines = [f"HTTP/1.1 {trouble.status} As Planned", "Content-Length: 9"]
        if after is not None:
            lines.append(f"Retry-After: {after}")
        self.client.sendall(("\r\n".join(lines) + "\r\n\r\nnot now!\n").encode())


def parse_fields(lines):
    pairs = (line.partition(":") for line in lines if line)
    return {name.lower(): value.strip() for name, _, value in pairs}


def read_head(connection):
    """Up to the empty line, and not a byte more; None where nothing comes."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536, socket.MSG_PEEK)
        if not piece:
            return None
        both = head + piece
        found = both.find(b"\r\n\r\n")
        take = len(piece) if found < 0 else found + 4 - len(head)
        head += connection.recv(take)
    return head[:-4].decode("latin-1")


def end(connection):
    connection.shutdown(socket.SHUT_WR)
    raise Cut


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    raise Cut


def main(pipe, seed, port, upstream, names):
    """A process: runs until the other end of the pipe says so, and answers with the log."""
    proxy = Proxy(seed, port, upstream, names)
    threading.Thread(target=proxy.run, daemon=True).start()
    pipe.recv()
    proxy.closing = True
    with proxy.lock:
        pipe.send((proxy.log, proxy.refusals))
    pipe.close()
    os._exit(0)
