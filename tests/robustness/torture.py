"""Ends the controller at random moments, in every way and in every world, and looks at what is left.

    python torture.py [--times 100] [--seed 1] [--worlds live,sim,lockstep] [--totals FILE]

Afterwards no process may be left, no temporary file, and each run directory must be one that `check` judges: valid or
unknown, since the cluster is correct. Each end is a function of the seed, the world and its number. Figures of several
parts, each with a seed of its own, add up in the file of `--totals`.

A process belongs to a run if it has the run's token in its environment. Temporary files go to a folder of the run's
own, which must be empty at the end.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil

from totals import CountedError, Totals, table

TOKEN = "RAFT_CHAOS_TORTURE"
COMMAND = Path(sys.executable).with_name("raft-chaos")
RUN = ["--duration", "4", "--warmup", "1", "--liveness", "1", "--rate", "30"]
LATEST_S = {"live": 9.0, "sim": 4.0, "lockstep": 7.0}
"""A little more than a run takes, so that some are over when the signal comes."""
GONE_S = 15.0
FIGURES = ("left behind", "valid", "unknown", "accused or not judged", "wrong")

WAYS: dict[str, list[tuple[signal.Signals, bool]]] = {
    "SIGKILL": [(signal.SIGKILL, False)],
    "SIGKILL to the group": [(signal.SIGKILL, True)],
    "SIGTERM": [(signal.SIGTERM, False)],
    "SIGHUP": [(signal.SIGHUP, False)],
    "SIGINT": [(signal.SIGINT, True)],
    "SIGINT twice": [(signal.SIGINT, True), (signal.SIGINT, True)],
    "SIGINT, then SIGTERM": [(signal.SIGINT, True), (signal.SIGTERM, False)],
}
"""Which signals, each to the process or to its group as a terminal does."""


@dataclass(frozen=True)
class End:
    """One run that was ended: its exit code, and a sentence for each thing that is wrong."""

    world: str
    way: str
    moment_s: float
    code: int | None
    wrong: list[str]
    left: int
    verdicts: Counter[str]
    """How many run directories `check` found valid, unknown, or anything else."""

    def counts(self) -> Counter[str]:
        """What it adds to the totals."""
        one = Counter({"ends": 1, f"code {self.code}": 1, "left behind": self.left, "wrong": bool(self.wrong)})
        return one + self.verdicts


def once(seed: int, world: str, number: int) -> End:
    """Starts a run, ends it, and looks at what is left."""
    rng = Random(f"{seed}/{world}/{number}")
    way = list(WAYS)[number % len(WAYS)]
    moment_s, gap_s = rng.uniform(0, LATEST_S[world]), rng.choice((0.0, 0.05, 0.3))
    with tempfile.TemporaryDirectory(prefix="raft-chaos-torture-") as folder:
        base = Path(folder)
        temp, out = base / "tmp", base / "out"
        temp.mkdir()
        token = f"{os.getpid()}-{seed}-{world}-{number}"
        environment = {**os.environ, "TMPDIR": str(temp), TOKEN: token}
        words = [str(COMMAND), "run", "--world", world, "--seed", str(number), *RUN, "--out", str(out)]
        with (base / "said").open("wb") as said:
            run = subprocess.Popen(
                words, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
        code = _end(run, WAYS[way], moment_s, gap_s)
        wrong = _code(code, WAYS[way])
        left = left_behind(token, temp)
        wrong += left + _said(base / "said")
        verdicts = Counter[str]()
        for directory in sorted(out.glob("*")) if out.exists() else ():
            verdict, sentences = _judged(directory)
            verdicts[verdict] += 1
            wrong += sentences
    return End(world, way, moment_s, code, wrong, len(left), verdicts)


def _end(
    run: subprocess.Popen[bytes], signals: list[tuple[signal.Signals, bool]], moment_s: float, gap_s: float
) -> int | None:
    """The exit code; None if it had to be killed."""
    _begun(run.pid)
    try:
        return run.wait(moment_s)
    except subprocess.TimeoutExpired:
        pass
    for place, (number, to_group) in enumerate(signals):
        if place:
            time.sleep(gap_s)
        try:
            os.killpg(run.pid, number) if to_group else run.send_signal(number)
        except ProcessLookupError:
            break
    try:
        return run.wait(30)
    except subprocess.TimeoutExpired:
        run.kill()
        run.wait()
        return None


def _begun(pid: int) -> None:
    """Waits until the command handles signals. Until then Python itself starts, and on Ctrl-C it ends in its own way:
    with a traceback and exit code 1."""
    status = Path(f"/proc/{pid}/status")
    while True:
        fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        if fields["State"][0] == "Z" or int(fields["SigCgt"], 16) & 1 << (signal.SIGTERM - 1):
            return
        time.sleep(0.002)


def _code(code: int | None, signals: list[tuple[signal.Signals, bool]]) -> list[str]:
    """A run that was over is valid or unknown; otherwise the code names the first signal."""
    first = signals[0][0]
    expected = [0, 2, -first if first == signal.SIGKILL else 128 + first]
    if code is None:
        return ["it did not end"]
    return [] if code in expected else [f"the exit code is none of {', '.join(map(str, expected))}"]


def left_behind(token: str, temp: Path) -> list[str]:
    """Processes and temporary files. A process that the reaper is about to end has a few seconds."""
    until = time.monotonic() + GONE_S
    while (left := _processes(token)) and time.monotonic() < until:
        time.sleep(0.05)
    wrong = [f"left the process {' '.join(words)}" for words in left.values()]
    for pid in left:
        os.kill(pid, signal.SIGKILL)  # it has this run's token
    return wrong + [f"left the temporary file {file.name}" for file in sorted(temp.iterdir())]


def _processes(token: str) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get(TOKEN) == token and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process.cmdline()[:4]
        except psutil.Error:
            continue
    return found


def _said(file: Path) -> list[str]:
    text = file.read_text(errors="replace")
    return [f"said {line}" for line in text.splitlines() if "Traceback" in line or "Exception ignored" in line]


def _judged(directory: Path) -> tuple[str, list[str]]:
    """The verdict of `check`, and what is wrong with it: a correct cluster is valid, or unknown if cut off."""
    done = subprocess.run([COMMAND, "check", directory], capture_output=True, text=True)
    if done.returncode in (0, 2) and "Traceback" not in done.stderr:
        return ("valid" if done.returncode == 0 else "unknown"), []
    last = (done.stderr or done.stdout).strip().splitlines()[-1:]
    return "accused or not judged", [f"check: exit code {done.returncode}: {' '.join(last)}"]


def shown(totals: Totals) -> str:
    """The figures as docs/reliability.md has them."""
    rows: list[list[object]] = []
    for row, counts in sorted(totals.counts.items()):
        world, _, way = row.partition(": ")
        codes = [
            f"{key.removeprefix('code ')} ({count})" for key, count in sorted(counts.items()) if key[:5] == "code "
        ]
        rows.append([world, way, counts["ends"], ", ".join(codes), *(counts[key] for key in FIGURES)])
    every = sum(totals.counts.values(), Counter[str]())
    rows.append(["all", "", every["ends"], "", *(every[key] for key in FIGURES)])
    return table(["world", "ended by", "ends", "exit codes (times)", *FIGURES], rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="Ends the controller at random moments.")
    parser.add_argument("--times", type=int, default=100, help="in each world")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worlds", default=",".join(LATEST_S))
    parser.add_argument("--totals", type=Path, help="a JSON file to which the figures of this part are added")
    asked = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:  # as a script's background has it; a run would ignore it as well
            signal.signal(number, signal.SIG_DFL)
    totals, worlds, failed = Totals(asked.totals), asked.worlds.split(","), 0
    for world in worlds:
        for way in WAYS:
            totals.require_new(f"{world}: {way}", str(asked.seed))
    for world in worlds:
        for number in range(asked.times):
            end = once(asked.seed, world, number)
            totals.add(f"{world}: {end.way}", str(asked.seed), end.counts())
            failed += bool(end.wrong)
            for sentence in end.wrong:
                print(
                    f"{number}: {world}, {end.way} after {end.moment_s:.2f} s, exit code {end.code}: {sentence}",
                    flush=True,
                )
    print(shown(totals))
    print(f"seed {asked.seed}: {failed} ends of this part with something wrong")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CountedError as error:
        sys.exit(f"torture: {error}")
