"""A Varlink client that knows that services restart (https://varlink.org/Method-Call)."""

import array
import json
import os
import socket
import time

INTERFACE = "io.sluice.Ingest."


class Gone(Exception):
    """The connection could not be made, or has ended before the reply."""


class Refused(Exception):
    """The service replied with an error."""

    def __init__(self, message):
        super().__init__(json.dumps(message))
        self.name = message["error"].removeprefix(INTERFACE)


class Late(Exception):
    """The deadline has passed."""


class Connection:
    """One connection to the service, for one call after the other."""

    def __init__(self, path, deadline):
        self.deadline = deadline
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self._limit()
            self.socket.connect(path)
        except TimeoutError:
            self.close()
            raise Late from None
        except OSError as error:
            self.close()
            raise Gone(str(error)) from None

    def close(self):
        self.socket.close()

    def call(self, method, parameters=None):
        """The reply's parameters, and the descriptors that came with it."""
        message = {"method": INTERFACE + method, "parameters": parameters or {}}
        reply, passed = b"", array.array("i")
        try:
            self._limit()
            self.socket.sendall(json.dumps(message).encode() + b"\0")
            while not reply.endswith(b"\0"):
                self._limit()
                data, control, _, _ = self.socket.recvmsg(1 << 18, 1024, socket.MSG_CMSG_CLOEXEC)
                for level, kind, content in control:
                    if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                        passed.frombytes(content)
                if not data:
                    raise Gone("the service closed the connection")
                reply += data
        except TimeoutError:
            self._drop(passed)
            raise Late from None
        except OSError as error:
            self._drop(passed)
            raise Gone(str(error)) from None
        except Gone:
            self._drop(passed)
            raise
        answer = json.loads(reply[:-1])
        if "error" in answer:
            raise Refused(answer)
        return answer.get("parameters", {}), list(passed)

    def _drop(self, passed):
        for descriptor in passed:
            os.close(descriptor)

    def _limit(self):
        rest = self.deadline - time.monotonic()
        if rest <= 0:
            raise TimeoutError
        self.socket.settimeout(rest)


class Caller:
    """Calls as often as it takes, over as many connections."""

    def __init__(self, path, deadline):
        self.path = path
        self.deadline = deadline
        self.connection = None
        # Calls that had to be made again.
        self.again = 0

    def call(self, method, parameters=None):
        while True:
            try:
                if self.connection is None:
                    self.connection = Connection(self.path, self.deadline)
                return self.connection.call(method, parameters)
            except (Gone, Refused) as error:
                if isinstance(error, Refused) and error.name != "Stopping":
                    raise
                self.close()
                self.again += 1
                if time.monotonic() > self.deadline:
                    raise Late from None
                time.sleep(0.02)

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None
