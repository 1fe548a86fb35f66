"""Sends damaged inputs through the doors, and counts crashes, hangs and wrong verdicts.

    python -m fuzz [--doors wal,frames] [--inputs 10000] [--seed 1] [--keep FOLDER]

An input is a function of the seed, the door and its number, so any failure repeats from these three. What fails is
kept as a file; once the cause is fixed, it belongs into `corpus/<door>/`, which every test run feeds again.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from door import Door, WrongVerdictError
from doors import DOORS

CORPUS = Path(__file__).parent / "corpus"
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


def main() -> int:
    parser = argparse.ArgumentParser(description="Sends damaged inputs through the doors.")
    parser.add_argument("--doors", default=",".join(DOORS), help="names, with commas")
    parser.add_argument("--inputs", type=int, default=10_000, help="of each door")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="where inputs that fail are kept")
    asked = parser.parse_args()
    logging.disable()  # what a node says of each damaged log
    failed = 0
    print(
        f"{'door':14} {'inputs':>9} {'accepted':>9} {'refused':>9} {'crashes':>8} {'hangs':>6} {'wrong verdicts':>15}"
    )
    for name in asked.doors.split(","):
        with (
            tempfile.TemporaryDirectory(prefix="raft-chaos-fuzz-") as folder,
            closing(DOORS[name](Path(folder))) as door,
        ):
            tally = feed(door, inputs(door, asked.seed, asked.inputs))
        ends = tally.ends
        print(
            f"{name:14} {ends.total():9} {ends['accepted']:9} {ends['refused']:9} {ends['crash']:8} {ends['hang']:6} "
            f"{ends['wrong verdict']:15}",
            flush=True,
        )
        failed += len(tally.failures)
        for number, (data, what) in enumerate(tally.failures[:20]):
            asked.keep.mkdir(parents=True, exist_ok=True)
            file = asked.keep / f"{name}-{asked.seed}-{number}"
            file.write_bytes(data)
            print(f"  {file}: {what.strip().splitlines()[-1]}")
    print(f"seed {asked.seed}: {failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
