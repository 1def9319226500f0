"""A name server on the loopback: names.py NAME=ADDRESS... answers A and AAAA, and that a name does not exist.

Says `ready` on its standard output once it listens."""

import ipaddress
import socket
import struct
import sys

A, AAAA = 1, 28
NAME_ERROR = 3


def question(packet):
    """The name in lower case, its type, and where the question ends."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode().lower())
        at += 1 + packet[at]
    return ".".join(labels), struct.unpack_from("!H", packet, at + 1)[0], at + 5


def answer(packet, names):
    name, kind, end = question(packet)
    records = [
        address.packed
        for address in names.get(name, [])
        if (A if address.version == 4 else AAAA) == kind
    ]
    code = 0 if name in names else NAME_ERROR
    head = packet[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(records), 0, 0)
    body = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(r)) + r for r in records)
    return head + packet[12:end] + body


def main():
    names = {}
    for argument in sys.argv[1:]:
        name, _, address = argument.partition("=")
        names.setdefault(name, []).append(ipaddress.ip_address(address))
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    print("ready", flush=True)
    while True:
        packet, client = server.recvfrom(1500)
        server.sendto(answer(packet, names), client)


main()
