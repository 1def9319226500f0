"""TLS in front of plain servers on 127.0.0.1, for the tests.

usage: tls-relay.py CERTIFICATE KEY

Each line of standard input is a server's port; the answer is the port on which TLS for it is offered. A server that
closes its connection ends the TLS session as it should be ended, with close_notify. One that resets it has the TCP
connection closed and nothing said, as a cable that is cut would. Ends with its standard input.
"""

import select
import socket
import ssl
import sys
import threading


class Connection:
    """A client's connection, and the one to the server."""

    def __init__(self, client, port, context):
        self.client = client
        self.port = port
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    def run(self):
        try:
            with self.client:
                if self.shake_hands():
                    with socket.create_connection(("127.0.0.1", self.port)) as server:
                        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        self.relay(server)
        except OSError:
            pass  # One of the two has gone, as it may.

    def flush(self):
        self.client.sendall(self.outgoing.read())

    def receive(self):
        """Takes what the client sends; false at its end."""
        data = self.client.recv(65536)
        self.incoming.write(data) if data else self.incoming.write_eof()
        return bool(data)

    def shake_hands(self):
        while True:
            try:
                self.tls.do_handshake()
                self.flush()
                return True
            except ssl.SSLWantReadError:
                self.flush()
                if not self.receive():
                    return False

    def relay(self, server):
        while True:
            self.pass_up(server)
            readable, _, _ = select.select([self.client, server], [], [])
            if server in readable:
                try:
                    data = server.recv(65536)
                except ConnectionResetError:
                    return
                if not data:
                    return self.end()
                self.tls.write(data)
                self.flush()
            if self.client in readable and not self.receive():
                return

    def pass_up(self, server):
        try:
            while True:
                server.sendall(self.tls.read(65536))
        except ssl.SSLWantReadError:
            pass

    def end(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()
        self.client.shutdown(socket.SHUT_WR)
        while self.client.recv(65536):
            pass


def accept(listener, port, context):
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=Connection(client, port, context).run, daemon=True).start()


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    for line in sys.stdin:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=accept, args=(listener, int(line), context), daemon=True).start()
        print(listener.getsockname()[1], flush=True)


main()
