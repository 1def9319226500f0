"""An origin that waits for a sign: the existence of a file.

gate.py PORT FOLDER

    /hold/SIGN/NAME    no answer before FOLDER/SIGN is there; then the file FOLDER/NAME
    /busy/SIGN/NAME    503 and Retry-After before that
    /trickle/SIGN/NAME    the file, in drops (128 KiB/s) before that, and then what is left of it at once
"""

import http.server
import os
import sys
import time

port, folder = int(sys.argv[1]), sys.argv[2]
DROP, PAUSE = 16 << 10, 0.125


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        _, manner, sign, name = self.path.split("/")
        there = os.path.exists(f"{folder}/{sign}")
        if manner == "busy" and not there:
            self.send_response(503)
            self.send_header("Retry-After", "8")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        while manner != "trickle" and not os.path.exists(f"{folder}/{sign}"):
            time.sleep(0.02)
        with open(f"{folder}/{name}", "rb") as file:
            body = file.read()
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{name}"')
            self.end_headers()
            sent = 0
            while manner == "trickle" and not os.path.exists(f"{folder}/{sign}"):
                self.wfile.write(body[sent:sent + DROP])
                sent += DROP
                time.sleep(PAUSE)
            self.wfile.write(body[sent:])
        except OSError:
            self.close_connection = True

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


Server(("127.0.0.1", port), Handler).serve_forever()
