"""Commands of `raft-chaos` on a machine that denies them something, and what is wrong with how they end.

An outside is a shell script that takes something away and then becomes the command, `exec "$@"`. What needs a mount has
a mount namespace of its own, so that the mount
ends with the last process in it.

The right end: an exit code of the table in `chaos/cli/ends.py`, never 1 for a correct cluster, no traceback, a sentence
where something was refused or failed; and no process, temporary file or mount is left.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import uuid4

from torture import COMMAND, TOKEN, left_behind

MOUNTING = "unshare -m" if os.geteuid() == 0 else "unshare -rm"
RUN = "--schedule HERE/calm.jsonl --out HERE/out -q"
COMMANDS = {
    "live": f"run {RUN}",
    "sim": f"run --world sim {RUN}",
    "lockstep": f"run --world lockstep {RUN}",
    "check": "check HERE/green",
    "report": "report HERE/green",
    "replay": "replay HERE/green",
    "shrink": "shrink HERE/red --budget 3s --jobs 1 --no-anchors --out HERE/out/small.json",
    "cluster": "cluster --http-port 18901 --raft-port 19901",
}
"""In the folder `HERE`, which has the run directories `green` and `red`, and the schedule calm.jsonl."""
CLUSTER_S = 4
"""So long a cluster runs; then it gets SIGINT."""
ENDS_S = 90
FINE = {"live": {0, 2}, "shrink": {0, 2}, "cluster": {0, 130}}
"""The exit codes of a command that lacks nothing; 0 if it is not named."""
REFUSED = {254, 255}
HARMLESS, SHORT = "harmless", "short"


@dataclass(frozen=True)
class Outside:
    """`kind` is `HARMLESS` if the command has what it needs, and `SHORT` if it may be refused or fail."""

    script: str
    kind: str = SHORT
    mounts: bool = False
    also: tuple[int, ...] = ()
    """Exit codes with which the system itself ends a process: -24, or 152 in a shell, is SIGXCPU."""
    without: str = ""
    """Capabilities that root does not have here."""
    sentence: bool = True
    """Whether a sentence can be written at all."""


def full_disk(size_kb: int) -> Outside:
    """The command writes its files into `out`, which has so much room."""
    return Outside(f"mount -t tmpfs -o size={size_kb}k none out;", mounts=True)


OUTSIDES: dict[str, Outside] = {
    **{f"{number} open files": Outside(f"ulimit -n {number};") for number in (8, 16, 64, 128)},
    **{f"{size} MB of addresses": Outside(f"ulimit -v {size * 1024};") for size in (30, 50, 60, 90, 120, 200, 400)},
    **{f"files of {size} kB": Outside(f"ulimit -f {2 * size};") for size in (0, 4, 32)},
    **{f"{size} kB of disk": full_disk(size) for size in (4, 16, 40, 150, 400)},
    "full TMPDIR": Outside(
        'mount -t tmpfs -o size=4k none "$TMPDIR"; head -c 8192 /dev/zero >"$TMPDIR/full" 2>/dev/null || true;',
        mounts=True,
    ),
    "read-only mount": Outside('mount --bind . .; mount -o remount,ro,bind "$PWD"; cd "$PWD";', mounts=True),
    "read-only folder": Outside("chmod a-w . out;", without="dac_override,-dac_read_search"),
    "read-only /dev/shm": Outside("mount -t tmpfs -o ro none /dev/shm;", mounts=True),
    "no IPv6": Outside("ip link set lo up; echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6;", HARMLESS),
    "LANG=C": Outside("unset LC_ALL; export LANG=C PYTHONUTF8=0;", HARMLESS),
    "LC_ALL=POSIX": Outside("export LC_ALL=POSIX PYTHONUTF8=0 PYTHONCOERCECLOCALE=0;", HARMLESS),
    "umask 077": Outside("umask 077;", HARMLESS),
    "umask 000": Outside("umask 000;", HARMLESS),
    "umask 777": Outside("umask 777;"),
    "no HOME": Outside("unset HOME;", HARMLESS),
    "HOME that does not exist": Outside("export HOME=/nonexistent;", HARMLESS),
    "closed stdin": Outside("exec <&-;", HARMLESS),
    "closed stdout": Outside("exec >&-;"),
    "closed stderr": Outside("exec 2>&-;", sentence=False),
    "all three closed": Outside("exec <&- >&- 2>&-;", sentence=False),
    "no working directory": Outside("mkdir gone; cd gone; rmdir ../gone;"),
    "TMPDIR that does not exist": Outside("export TMPDIR=/nonexistent;"),
    "1 s of processor time": Outside("ulimit -S -t 1;", also=(-24, 152), sentence=False),
}


@dataclass(frozen=True)
class Ending:
    """What a command came to: its exit code, what it said, and a sentence for each thing that is wrong."""

    code: int
    said: str
    wrong: list[str]


def prelude(outside: Outside) -> list[str]:
    """The words that come before a command."""
    script = f'{outside.script} exec "$@"'
    if outside.mounts:
        script = f"set -e; {script}"
    if outside.without and os.geteuid() == 0:
        return ["setpriv", f"--bounding-set=-{outside.without}", "sh", "-c", script, "sh"]
    namespace = MOUNTING.split() if outside.mounts else ["unshare", "-n"] if "ip link" in script else []
    return [*namespace, "sh", "-c", script, "sh"]


@cache
def why_not(outside: Outside) -> str | None:
    """Why this machine cannot make the outside; None if it can."""
    with tempfile.TemporaryDirectory(prefix="raft-chaos-limits-") as folder:
        (Path(folder) / "out").mkdir()
        done = _run(outside, ["true"], Path(folder))
    return None if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"


def end(name: str, outside: Outside, here: Path) -> Ending:
    """Carries out the command in the folder, and looks at how it ended and what it left."""
    words = [str(COMMAND), *COMMANDS[name].replace("HERE", str(here)).split()]
    if name == "cluster":
        words = ["timeout", "--preserve-status", "--foreground", "--signal", "INT", str(CLUSTER_S), *words]
    mounts = Path("/proc/mounts").read_text()
    with tempfile.TemporaryDirectory(prefix="rc-") as temp:
        token = uuid4().hex
        try:
            done = _run(outside, words, here, Path(temp), token)
        except subprocess.TimeoutExpired:
            return Ending(-1, "", [f"no end within {ENDS_S} s", *left_behind(token, Path(temp))])
        wrong = left_behind(token, Path(temp))
    if Path("/proc/mounts").read_text() != mounts:
        wrong.append("left a mount")
    return Ending(done.returncode, done.stderr, wrong + _wrong(name, outside, done))


def _run(
    outside: Outside, words: list[str], here: Path, temp: Path | None = None, token: str = ""
) -> subprocess.CompletedProcess[str]:
    # With a relative PYTHONPATH and no working directory Python itself does not start.
    environment = {**os.environ, "PYTHONPATH": "", "TMPDIR": str(temp or here), TOKEN: token}
    return subprocess.run(
        [*prelude(outside), *words],
        cwd=here,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=ENDS_S,
    )


def _wrong(name: str, outside: Outside, done: subprocess.CompletedProcess[str]) -> list[str]:
    """What is wrong with the exit code and with what was said."""
    wrong = []
    fine = FINE.get(name, {0})
    allowed = fine if outside.kind == HARMLESS else fine | REFUSED | {2, *outside.also}
    if done.returncode not in allowed:
        wrong.append(f"the exit code is {done.returncode}, and not one of {sorted(allowed)}")
    if "Traceback" in done.stderr or "Exception ignored" in done.stderr:
        wrong.append("it said a traceback")
    if done.returncode in REFUSED and outside.sentence and "raft-chaos" not in done.stderr:
        wrong.append("no sentence says what is missing")
    return wrong


def main() -> int:
    """All cases, each in a copy of the folder that has what the commands need."""
    parser = argparse.ArgumentParser(description="Every command with every outside.")
    parser.add_argument("places", type=Path, help="a folder with green, red, calm.jsonl and out; see test_limits.py")
    parser.add_argument("--commands", default=",".join(COMMANDS), help="names, with commas")
    asked = parser.parse_args()
    failed = 0
    for command in asked.commands.split(","):
        for name, outside in OUTSIDES.items():
            if reason := why_not(outside):
                print(f"{command:10} {name:26} skipped: {reason}", flush=True)
                continue
            with tempfile.TemporaryDirectory(prefix="raft-chaos-limits-") as folder:
                here = Path(folder) / "here"
                shutil.copytree(asked.places, here)
                ending = end(command, outside, here)
            said = " ".join(ending.said.split())[-300:]
            print(f"{command:10} {name:26} {ending.code:4} {'; '.join(ending.wrong) or 'right'}: {said}", flush=True)
            failed += bool(ending.wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
