"""Consumers on a string: does what it is told on standard input, a line at a time, and answers each with a line.

rider.py SOCKET

    fetch NAME URL [JSON]    a job of this name, with these parameters: its id
    command NAME ARG...      a command whose output is read: its process id
    take NAME BYTES          reads so many more, or to the end: how many there were altogether
    pace NAME BYTES          reads so many a second from now on, in the background
    stop NAME                no longer
    drain NAME               reads to the end: "BYTES SHA256"
    close NAME               the consumer is gone
    exit NAME                the command's exit status, and what it said on standard error
    wait NAME                calls Wait, as often as it takes: the job in JSON, or the name of an error
    waiting NAME             calls Wait once, in the background
    waited NAME              what came of that
    watching NAME            calls Watch once, in the background
    watched NAME             the states that it told, one after the other, and how it ended
    show NAME                calls Show, as `wait`
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time

import wire

# Longer than anything here takes.
LIMIT = 120


class Consumer:
    """A pipe, and who reads it."""

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self.count, self.hash = 0, hashlib.sha256()
        self.ended = False
        self.thread, self.paced = None, False
        self.process = None

    def read(self, limit):
        piece = os.read(self.descriptor, limit)
        self.count += len(piece)
        self.hash.update(piece)
        self.ended = not piece
        return len(piece)

    def take(self, count):
        while count > 0 and (got := self.read(min(count, 1 << 20))):
            count -= got

    def pace(self, rate):
        def run():
            began, done = time.monotonic(), 0
            while self.paced:
                due = int((time.monotonic() - began) * rate) - done
                if due > 0:
                    if not (got := self.read(min(due, 1 << 20))):
                        return
                    done += got
                else:
                    time.sleep(0.005)
        self.paced = True
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def stop(self):
        self.paced = False
        if self.thread:
            self.thread.join()
            self.thread = None


class Rider:
    """The commands."""

    def __init__(self, path):
        self.path = path
        self.consumers, self.jobs, self.background = {}, {}, {}

    def fetch(self, name, url, parameters="{}"):
        caller = self._caller()
        reply, passed = caller.call("Fetch", {"url": url} | json.loads(parameters))
        caller.close()
        self.consumers[name] = Consumer(passed[reply["bodyFileDescriptor"]])
        self.jobs[name] = reply["id"]
        return reply["id"]

    def command(self, name, *arguments):
        process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.consumers[name] = Consumer(process.stdout.fileno())
        self.consumers[name].process = process
        return process.pid

    def take(self, name, count):
        consumer = self.consumers[name]
        consumer.take(int(count))
        return consumer.count

    def pace(self, name, rate):
        self.consumers[name].pace(int(rate))
        return "pacing"

    def stop(self, name):
        self.consumers[name].stop()
        return self.consumers[name].count

    def drain(self, name):
        consumer = self.consumers[name]
        consumer.stop()
        while not consumer.ended:
            consumer.read(1 << 20)
        return f"{consumer.count} {consumer.hash.hexdigest()}"

    def close(self, name):
        self.consumers[name].stop()
        os.close(self.consumers[name].descriptor)
        return "closed"

    def exit(self, name):
        process = self.consumers[name].process
        status = process.wait(LIMIT)
        return f"{status} {process.stderr.read().decode(errors='replace')!r}"

    def wait(self, name):
        return self._ask("Wait", name)

    def show(self, name):
        return self._ask("Show", name)

    def waiting(self, name):
        def run():
            connection = None
            try:
                connection = wire.Connection(self.path, time.monotonic() + LIMIT)
                reply, _ = connection.call("Wait", {"id": self.jobs[name]})
                return json.dumps(reply["job"])
            except wire.Refused as error:
                return error.name
            except (wire.Gone, wire.Late) as error:
                return type(error).__name__
            finally:
                if connection:
                    connection.close()
        return self._start("wait", name, run)

    def watching(self, name):
        def run():
            told, rest = [], b""
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(LIMIT)
                try:
                    connection.connect(self.path)
                    message = {
                        "method": "io.sluice.Ingest.Watch", "more": True, "parameters": {"id": self.jobs[name]}}
                    connection.sendall(json.dumps(message).encode() + b"\0")
                    while piece := connection.recv(1 << 16):
                        *replies, rest = (rest + piece).split(b"\0")
                        for reply in map(json.loads, replies):
                            if "error" in reply:
                                return " ".join([*told, reply["error"]])
                            state = reply["parameters"]["job"]["state"]
                            if told[-1:] != [state]:
                                told.append(state)
                            if not reply.get("continues"):
                                return " ".join([*told, "end"])
                except OSError as error:
                    return " ".join([*told, type(error).__name__])
            return " ".join([*told, "Gone"])
        return self._start("watch", name, run)

    def waited(self, name):
        return self._finish("wait", name)

    def watched(self, name):
        return self._finish("watch", name)

    def _start(self, call, name, run):
        answer = []
        thread = threading.Thread(target=lambda: answer.append(run()), daemon=True)
        thread.start()
        self.background[call, name] = (thread, answer)
        return "started"

    def _finish(self, call, name):
        thread, answer = self.background.pop((call, name))
        thread.join(LIMIT)
        return answer[0] if answer else "never"

    def _ask(self, method, name):
        caller = self._caller()
        try:
            reply, _ = caller.call(method, {"id": self.jobs[name]})
            return json.dumps(reply["job"])
        except wire.Refused as error:
            return error.name
        except wire.Late:
            return "Late"
        finally:
            caller.close()

    def _caller(self):
        return wire.Caller(self.path, time.monotonic() + LIMIT)


def main():
    rider = Rider(sys.argv[1])
    for line in sys.stdin:
        name, *arguments = line.split()
        try:
            answer = getattr(rider, name)(*arguments)
        except Exception as error:  # Whatever it is: the script is told, and says where it was.
            answer = f"failed: {error!r}"
        print(answer, flush=True)


main()
