"""seeds.py DIRECTORY: writes each response of Tests/Responses/responses.txt there as a file, for a fuzzer to begin with."""

import pathlib
import re
import sys

ESCAPE = re.compile(rb'\\(?:([rnt0\\"])|x([0-9a-fA-F]{2})|<([0-9a-fA-F ]*)>|\((\d+)\*((?:[^()\\]|\\.)*)\)|\{(\w+)\})')
PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\", b'"': b'"'}
# A head is what is fuzzed: long runs only make it slow.
LONGEST_RUN = 100


def replace(match):
    plain, digits, several, times, run, _name = match.groups()
    if plain:
        return PLAIN[plain]
    if digits:
        return bytes.fromhex(digits.decode())
    if several is not None:
        return bytes.fromhex(several.decode())
    if times:
        return unescape(run) * min(int(times), LONGEST_RUN)
    return b"http://127.0.0.1:80"


def unescape(text):
    return ESCAPE.sub(replace, text)


def main():
    directory = pathlib.Path(sys.argv[1])
    table = pathlib.Path(__file__).parent.parent / "Responses" / "responses.txt"
    for number, entry in enumerate(table.read_bytes().split(b"\n## ")[1:]):
        lines = [line[2:] for line in entry.split(b"\n") if line.startswith(b"| ")]
        (directory / f"response-{number}").write_bytes(unescape(b"".join(lines)))


main()
