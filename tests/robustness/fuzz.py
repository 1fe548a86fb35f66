"""Sends damaged inputs through the doors, and counts crashes, hangs and wrong verdicts.

    python fuzz.py [--doors wal,frames] [--inputs 10000] [--seed 1] [--totals FILE] [--keep FOLDER]
    python fuzz.py --again FILE...      the inputs that are kept there, once more

An input is a function of the seed, the door and its number, so any failure repeats from these three. What fails is
written to `corpus/<door>/`, ready to be committed: every test run feeds it again. Figures of several parts, each with a
seed of its own, add up in the file of `--totals`.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random

from door import Door, WrongVerdictError
from doors import DOORS
from totals import CountedError, Totals, table

CORPUS = Path(__file__).parent / "corpus"
ENDS = ("accepted", "refused", "crash", "hang", "wrong verdict")
PART = 1_000
"""So many inputs are counted at once; an interrupted campaign has lost fewer than that."""
MOST_KEPT = 20
HANG_S = 10
"""An input that takes this long hangs; the slowest door needs a small part of it."""


class HungError(BaseException):
    """The input was not through in time. Not an Exception, so that no door catches it."""


@dataclass
class Tally:
    """What became of one door's inputs. `failures` are (input, what happened)."""

    ends: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[bytes, str]] = field(default_factory=list)


def inputs(door: Door, seed: int, count: int) -> Iterator[bytes]:
    """Damaged samples, the same for the same seed."""
    samples, damages = door.samples(), door.damages()
    for number in range(count):
        rng = Random(f"{seed}/{door.name}/{number}")
        yield rng.choice(damages)(rng, rng.choice(samples))


def corpus(door: Door) -> Iterator[bytes]:
    """Inputs that failed once."""
    yield from (file.read_bytes() for file in sorted((CORPUS / door.name).glob("*")))


def feed(door: Door, data: Iterator[bytes]) -> Tally:
    """Lets each input in. A crash, a hang or a wrong verdict is a failure; the next input follows all the same."""
    tally = Tally()
    for one in data:
        try:
            with _within(HANG_S):
                end: str = door.enter(one)
        except HungError:
            end, what = "hang", f"no end within {HANG_S} s"
        except WrongVerdictError as error:
            end, what = "wrong verdict", str(error)
        except Exception:
            end, what = "crash", traceback.format_exc()
        if end not in ("accepted", "refused"):
            tally.failures.append((one, what))
        tally.ends[end] += 1
    return tally


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise HungError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def shown(totals: Totals) -> str:
    """The figures as docs/reliability.md has them."""
    rows: list[list[object]] = [
        [door, counts.total(), *(counts[end] for end in ENDS)] for door, counts in totals.counts.items()
    ]
    every = sum(totals.counts.values(), Counter[str]())
    return table(["door", "inputs", *ENDS], [*rows, ["all", every.total(), *(every[end] for end in ENDS)]])


def keep(door: str, seed: int, failures: list[tuple[bytes, str]], folder: Path) -> None:
    """Writes inputs that failed, named by their content, and says how to repeat each."""
    for data, what in failures[:MOST_KEPT]:
        file = folder / door / f"seed-{seed}-{hashlib.sha256(data).hexdigest()[:8]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        print(f"{what.strip().splitlines()[-1]}\n  again: make fuzz AGAIN={file}", flush=True)


@contextmanager
def opened(name: str) -> Iterator[Door]:
    with tempfile.TemporaryDirectory(prefix="raft-chaos-fuzz-") as folder, closing(DOORS[name](Path(folder))) as door:
        yield door


def again(files: list[Path]) -> int:
    """Feeds kept inputs to the door that their folder names. Returns how many fail."""
    failed = 0
    for file in files:
        with opened(file.parent.name) as door:
            tally = feed(door, iter([file.read_bytes()]))
        print(f"{file}: {', '.join(tally.ends)}", *(what for _, what in tally.failures))
        failed += len(tally.failures)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description="Sends damaged inputs through the doors.")
    parser.add_argument("--doors", default=",".join(DOORS), help="names, with commas")
    parser.add_argument("--inputs", type=int, default=10_000, help="of each door")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--totals", type=Path, help="a JSON file to which the figures of this part are added")
    parser.add_argument("--keep", type=Path, default=CORPUS, help="where inputs that fail are kept")
    parser.add_argument("--again", type=Path, nargs="+", help="only these kept inputs")
    asked = parser.parse_args()
    logging.disable()  # what a node says of each damaged log
    if asked.again:
        return 1 if again(asked.again) else 0
    totals, failed = Totals(asked.totals), 0
    for name in asked.doors.split(","):
        totals.require_new(name, str(asked.seed))
        with opened(name) as door:
            data = inputs(door, asked.seed, asked.inputs)
            while part := list(islice(data, PART)):
                tally = feed(door, iter(part))
                keep(name, asked.seed, tally.failures, asked.keep)
                totals.add(name, str(asked.seed), tally.ends)
                failed += len(tally.failures)
    print(shown(totals))
    print(f"seed {asked.seed}: {failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CountedError as error:
        sys.exit(f"fuzz: {error}")
