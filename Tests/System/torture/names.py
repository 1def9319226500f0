"""A name server that knows one address for whatever it is asked (RFC 1035), until it is killed.

names.py ADDRESS ANSWER    listens on ADDRESS port 53
"""

import ipaddress
import socket
import struct
import sys

address, answer = sys.argv[1], ipaddress.IPv4Address(sys.argv[2]).packed
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((address, 53))
print("listening", flush=True)
while True:
    query, client = server.recvfrom(512)
    # One question: labels up to an empty one, then its type and its class.
    end = 12
    while query[end]:
        end += query[end] + 1
    question = query[12 : end + 5]
    wants_ipv4 = question[-4:] == struct.pack("!HH", 1, 1)
    reply = query[:2] + struct.pack("!HHHHH", 0x8180, 1, int(wants_ipv4), 0, 0) + question
    if wants_ipv4:
        reply += struct.pack("!HHHIH", 0xC00C, 1, 1, 0, 4) + answer
    server.sendto(reply, client)
