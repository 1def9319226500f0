"""Many consumers in one process that read nothing until they are told to.

crowd.py SOCKET COUNT URL FILE...

Fetches COUNT times, URL/NAME for each FILE in turn, and says "held". At the next line of standard input all read to the
end; each byte is compared with the file, and each outcome asked for. Says what came of it; 0 only if every body was
whole and right.
"""

import json
import os
import pathlib
import sys
import threading
import time
from collections import Counter

import wire

LIMIT = 240


def look(path, job, descriptor, expected):
    """How one job ended: a word."""
    count = 0
    while piece := os.read(descriptor, 1 << 20):
        if expected[count:count + len(piece)] != piece:
            return f"wrong after {count} bytes"
        count += len(piece)
    os.close(descriptor)
    caller = wire.Caller(path, time.monotonic() + LIMIT)
    try:
        reply, _ = caller.call("Wait", {"id": job})
    except wire.Refused as error:
        return error.name
    finally:
        caller.close()
    code = reply["job"]["outcome"]["code"]
    if reply["job"]["bytesDelivered"] != count:
        return f"{code}, bytesDelivered {reply['job']['bytesDelivered']} instead of {count}"
    return code if code != "complete" or count == len(expected) else f"{code} after {count} bytes"


def main():
    path, count, url, *files = sys.argv[1:]
    contents = [pathlib.Path(file).read_bytes() for file in files]
    caller = wire.Caller(path, time.monotonic() + LIMIT)
    held = []
    for number in range(int(count)):
        file = number % len(files)
        reply, passed = caller.call("Fetch", {"url": f"{url}/{pathlib.Path(files[file]).name}"})
        held.append((reply["id"], passed[reply["bodyFileDescriptor"]], contents[file]))
    caller.close()
    print("held", flush=True)
    sys.stdin.readline()

    results, lock, waiting = Counter(), threading.Lock(), iter(held)

    def work():
        while True:
            with lock:
                job = next(waiting, None)
            if job is None:
                return
            result = look(path, *job)
            with lock:
                results[result] += 1

    # All read at once: who is not read has to wait for a lane only because of the others.
    threads = [threading.Thread(target=work) for _ in range(int(count))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(results), flush=True)
    sys.exit(0 if results == {"complete": int(count)} else 1)


main()
