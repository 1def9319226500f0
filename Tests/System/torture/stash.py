"""Puts what does not belong there into the descriptor store of a service, as one of its processes.

stash.py PID NAME KIND...      PID: a process of the service, whose unit has NotifyAccess=all
stash.py PID NAME remove

KIND: file, pipe (a write end), socket, event, memory (a memfd), sealed (one of a ledger's size and seals, with nonsense)
"""

import array
import fcntl
import os
import select
import socket
import sys
import tempfile

pid, name, kinds = sys.argv[1], sys.argv[2], sys.argv[3:]
kept = []


def make(kind):
    match kind:
        case "file":
            with tempfile.TemporaryFile() as file:
                return os.dup(file.fileno())
        case "pipe":
            reader, writer = os.pipe()
            kept.append(reader)
            return writer
        case "socket":
            ours, theirs = socket.socketpair()
            kept.append(ours)
            return theirs.detach()
        case "event":
            return os.eventfd(0)
        case "memory":
            return os.memfd_create("sluice-ledger")
        case "sealed":
            page = os.memfd_create("sluice-ledger", os.MFD_ALLOW_SEALING)
            os.write(page, b"nonsense" * 512)
            fcntl.fcntl(page, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            return page
    sys.exit(__doc__)


def notify(text, descriptors=()):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("/run/systemd/notify")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        channel.sendmsg([text.encode()], rights)


def join():
    """Into the service's control group: only then the manager takes the message for one of the service's."""
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as groups:
        for line in groups:
            number, controllers, path = line.rstrip("\n").split(":", 2)
            folder = "/sys/fs/cgroup/" + ("unified" if number == "0" else controllers.removeprefix("name="))
            if not os.path.isdir(folder):
                folder = "/sys/fs/cgroup"
            if path.endswith(".service"):
                with open(f"{folder}{path}/cgroup.procs", "w", encoding="ascii") as file:
                    file.write(str(os.getpid()))


def store():
    if kinds == ["remove"]:
        notify(f"FDSTOREREMOVE=1\nFDNAME={name}")
    else:
        notify(f"FDSTORE=1\nFDNAME={name}", descriptors)
    reader, writer = os.pipe()
    notify("BARRIER=1", [writer])
    os.close(writer)
    waiting = select.poll()
    waiting.register(reader, 0)
    return 0 if waiting.poll(10_000) else 1


descriptors = [] if kinds == ["remove"] else [make(kind) for kind in kinds]
# A child joins, since what is in the control group ends with the service's process.
child = os.fork()
if child == 0:
    join()
    os._exit(store())
if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
    sys.exit("the manager does not answer")
# The reader of a stored pipe must not go away.
if kept:
    print("stashed", flush=True)
    sys.stdin.read()
