"""The examples of the manual; what the marks mean is in README.md beside this.

examples.py check PAGE...         every literal display is marked, and is shown as it was meant
examples.py count PAGE            how many there are
examples.py kind PAGE NUMBER      prints "run USER", "file NAME", "settings" or "none"
examples.py text PAGE NUMBER      what a reader copies, with the origin's address put in
examples.py script PAGE NUMBER    a shell script that runs it and checks the result
"""

import os
import re
import subprocess
import sys

ESCAPES = {"\\-": "-", "\\(aq": "'", "\\(ga": "`", "\\(ha": "^", "\\(ti": "~", "\\(dq": '"', "\\e": "\\", "\\&": ""}
# What roff makes something else of, and so cannot be copied from the screen everywhere.
UNSAFE = re.compile(r"[-'`^~]")
ESCAPE = re.compile("|".join(re.escape(name) for name in ESCAPES) + r"|\\.")
HOST = "https://example.org/"
JOB = "4k7m2p9q0r3s"


class Example:
    def __init__(self, page, line, marks, text):
        self.where = f"{page}:{line}"
        self.text = text
        self.user, self.status, self.file, self.kind = "member", 0, None, None
        self.before, self.after = [], []
        for mark in marks:
            word, _, rest = mark.partition(" ")
            if word == "before":
                self.before.append(rest)
            elif word == "after":
                self.after.append(rest)
            elif mark.startswith("no example:") and rest[len("example:"):].strip():
                self.kind = "none"
            elif word == "example":
                self.kind = "run"
                words = rest.split()
                while words:
                    option = words.pop(0)
                    if option == "as":
                        self.user = words.pop(0)
                    elif option == "status":
                        self.status = int(words.pop(0))
                    elif option == "file":
                        self.kind, self.file = "file", words.pop(0)
                    elif option == "settings":
                        self.kind = "settings"
                    else:
                        sys.exit(f"{self.where}: what is “{option}”?")
            else:
                sys.exit(f"{self.where}: what is “{mark}”?")
        if self.kind is None:
            sys.exit(f"{self.where}: a display without a mark")
        if self.kind == "run" and not (self.after or self.status):
            sys.exit(f"{self.where}: nothing is checked about the result")


def unescape(line, where):
    def meaning(match):
        if match[0] not in ESCAPES:
            sys.exit(f"{where}: {match[0]} is not understood")
        return ESCAPES[match[0]]

    unsafe = UNSAFE.search(ESCAPE.sub("", line))
    if unsafe:
        sys.exit(f"{where}: write {unsafe[0]} as an escape: {line}")
    return ESCAPE.sub(meaning, line)


def examples(page):
    found, marks, display = [], [], None
    with open(page, encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            line = line.rstrip("\n")
            where = f"{page}:{number}"
            if display is not None:
                if line == ".Ed":
                    found.append(Example(page, number, marks, display))
                    marks, display = [], None
                elif line.startswith((".", "'")):
                    sys.exit(f"{where}: a request inside of a display: begin the line with \\&")
                else:
                    display.append(unescape(line, where))
            elif line.startswith(".Bd -literal"):
                display = []
            elif line.startswith(".Dl "):
                found.append(Example(page, number, marks, [line[4:]]))
                marks = []
            elif re.match(r'\.\\" (no example:|(example|before|after)\b)', line):
                marks.append(line[4:])
            elif marks:
                sys.exit(f"{where}: a mark without a display")
    return found


def rendered(command, page):
    environment = dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="200", MANROFFOPT="-c", GROFF_NO_SGR="1")
    text = subprocess.run(command + [page], capture_output=True, text=True, check=True, env=environment).stdout
    text = re.sub(".\b", "", text)
    return [line.strip() for line in text.split("\n")]


def check(page):
    for command in (["mandoc", "-Tutf8", "-Owidth=200"], ["man", "--encoding=UTF-8", "-l"]):
        shown = "\n".join(rendered(command, page))
        for example in examples(page):
            text = "\n".join(line.strip() for line in example.text)
            if example.kind != "none" and f"\n{text}\n" not in shown:
                sys.exit(f"{example.where}: {command[0]} shows something else than\n{text}")


def text(example):
    return "\n".join(example.text).replace(HOST, os.environ["origin"] + "/") + "\n"


def script(example):
    lines = [
        "set -eu",
        *example.before,
        "set +eu",
        "exec 3>&1 4>&2 > out 2> err",
        text(example).replace(JOB, "$ID").rstrip("\n"),
        "status=$?",
        "exec >&3 2>&4",
        f'[ "$status" = {example.status} ] || {{ echo "status $status"; cat out err; exit 1; }} >&2',
    ]
    for command in example.after:
        lines += [f"{command} || {{ cat >&2 out err; exit 1; }}"]
    return "\n".join(lines) + "\n"


def main():
    action, page = sys.argv[1:3]
    if action == "check":
        for page in sys.argv[2:]:
            check(page)
        return
    found = examples(page)
    if action == "count":
        print(len(found))
        return
    example = found[int(sys.argv[3])]
    if action == "kind":
        print(example.kind, {"run": example.user, "file": example.file}.get(example.kind, ""), example.where)
    elif action == "text":
        print(text(example), end="")
    elif action == "script":
        print(script(example), end="")


main()
