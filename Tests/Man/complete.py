"""complete.py SHELL COMPLETIONS LINE: what a shell offers at the end of a line, one on a line.

bash can be asked. The others complete in an interactive line editor alone, so they get a terminal, in which the line is
typed, and then a key that makes them tell.
"""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

shell, completions, line = sys.argv[1:4]
program = line.split()[0]

BASH = """
set -u
source /usr/share/bash-completion/bash_completion
source "$1"
eval 'COMP_WORDS=('"$2"')'
[[ $2 != *' ' ]] || COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$2 COMP_POINT=${#2} COMPREPLY=()
set +u
# As the shell itself would: "-F function" of the command's entry.
read -r -a entry <<< "$(complete -p "$3")"
for ((i = 0; i < ${#entry[@]}; i++)); do
    [ "${entry[i]}" != -F ] || function=${entry[i + 1]}
done
"$function" "$3" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
[ ${#COMPREPLY[@]} = 0 ] || printf '%s\\n' "${COMPREPLY[@]}"
"""

# zsh's completions end in one function, which is made to tell.
ZSH = """
PS1= RPS1= PROMPT_EOL_MARK= zle_bracketed_paste=()
unsetopt beep
fpath=({completions}/zsh $fpath)
autoload -Uz compinit && compinit -u -D
compadd() {{
    local -a offered
    builtin compadd -O offered "$@"
    (( ! $#offered )) || print -rl -- ${{offered/#/offered:}} > {told}
    builtin compadd "$@"
}}
zle-line-init() {{ print -r ready > {told} }}
zle -N zle-line-init
asked() {{ zle complete-word; print -r done > {told} }}
zle -N asked
bindkey '^X' asked
"""

# The description of an offer stands behind a tab.
FISH = """
source {completions}/fish/{program}.fish
function fish_prompt; echo ready > {told}; end
function fish_right_prompt; end
function asked
    for offer in (complete -C)
        echo offered:(string split -f 1 \\t -- $offer) > {told}
    end
    echo done > {told}
end
bind \\cx asked
"""


def say(text, errors=""):
    if errors.strip():
        sys.exit(f"{shell} says: {errors}")
    offered = sorted(set(text.splitlines()))
    if offered:
        print("\n".join(offered))


def ask(command):
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if result.returncode not in (0, 1) or result.stderr.strip():
        sys.exit(f"{shell} ends with {result.returncode} and says: {result.stderr}")
    return result.stdout


def bash():
    script = f"{completions}/bash/{program}"
    say("\n".join(word.rstrip() for word in ask(["bash", "--norc", "-c", BASH, "bash", script, line, program]).splitlines()))


def type_it(arguments, setup):
    """Types the setup, and at the next prompt the line and the key."""
    directory = tempfile.mkdtemp()
    told_path, setup_path = f"{directory}/told", f"{directory}/setup"
    os.mkfifo(told_path)
    # For writing, too, so that it never comes to its end.
    told = os.open(told_path, os.O_RDWR)
    with open(setup_path, "w", encoding="utf-8") as file:
        file.write(setup.format(completions=completions, program=program, told=told_path))
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(arguments[0], arguments, dict(os.environ, TERM="dumb", HISTFILE="", HOME=directory))
    try:
        os.write(terminal, f". {setup_path}\n".encode())
        seen, shown, typed = "", "", False
        deadline = time.monotonic() + 20
        while "done\n" not in seen:
            ready, _, _ = select.select([told, terminal], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                sys.exit(f"{shell} does not answer: {shown!r}, {seen!r}")
            if told in ready:
                seen += os.read(told, 65536).decode()
            if terminal in ready:
                shown += os.read(terminal, 65536).decode()
            if not typed and "ready\n" in seen:
                typed, shown = True, ""
                os.write(terminal, line.encode() + b"\x18")
    finally:
        os.close(terminal)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        shutil.rmtree(directory)
    problem = re.search(r"[^\r\n]*(rror:|not found|nknown|sluicectl: )[^\r\n]*", shown)
    words = [word[len("offered:"):] for word in seen.splitlines() if word.startswith("offered:")]
    say("\n".join(words), problem[0] if problem else "")


if shell == "bash":
    bash()
elif shell == "zsh":
    type_it(["zsh", "-f", "-i"], ZSH)
else:
    type_it(["fish", "--no-config", "-i"], FISH)
