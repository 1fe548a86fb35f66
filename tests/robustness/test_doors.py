"""Each door bears damaged inputs: it accepts or refuses them, and never crashes, hangs or convicts a right cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from door import Door, Entered
from doors import DOORS
from fuzz import corpus, feed, inputs
from mutation import damaged_bytes

INPUTS = {"commands": 5, "http": 50, "peers": 50, "run": 60, "tls": 30}
MOST = 200
SEED = 20


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Without what a node logs of each damaged log."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Door]:
    with closing(DOORS[request.param](tmp_path)) as opened:
        yield opened


def test_a_door_accepts_what_is_valid_and_bears_what_is_damaged(door: Door) -> None:
    if door.name not in ("peers", "tls"):  # frames have no answer
        assert {door.enter(sample) for sample in door.samples()} == {"accepted"}
    count = INPUTS.get(door.name, MOST)
    tally = feed(door, inputs(door, SEED, count))
    assert tally.failures == []
    assert tally.ends["refused"] > count / 10, "damaged inputs are refused"


def test_what_failed_once_is_borne(door: Door) -> None:
    assert feed(door, corpus(door)).failures == []


class Fragile:
    """A door with one mistake of each kind."""

    name = "fragile"

    def samples(self) -> list[bytes]:
        return [b"valid"]

    def damages(self) -> list[object]:
        return [damaged_bytes]

    def close(self) -> None:
        pass

    def enter(self, data: bytes) -> Entered:
        if data == b"crash":
            raise ZeroDivisionError
        return "accepted" if data == b"valid" else "refused"


def test_a_crash_is_counted_and_the_next_inputs_follow() -> None:
    tally = feed(Fragile(), iter([b"valid", b"crash", b"other"]))  # type: ignore[arg-type]
    assert tally.ends == {"accepted": 1, "crash": 1, "refused": 1}
    assert [data for data, _ in tally.failures] == [b"crash"] and "ZeroDivisionError" in tally.failures[0][1]


def test_inputs_depend_on_seed_and_number_alone() -> None:
    fragile: Door = Fragile()  # type: ignore[assignment]
    assert list(inputs(fragile, 1, 20)) == list(inputs(fragile, 1, 40))[:20] != list(inputs(fragile, 2, 20))
