"""Random draws keyed by a number: draw `n` of a stream is the same whether or not the draws before it were taken.

A generator for each frame would cost more than the frame's delivery. So a stream consists of blocks; draw `n` is a
place in block `n // BLOCK`. The stream's generator begins at a seed of its own for each block, and fills all of it.
Streams share nothing, since runs in several threads may draw at once.
"""

from __future__ import annotations

from itertools import repeat, starmap
from random import Random
from typing import Final

from raft_chaos.chaos.schedule.streams import stream_seed

BLOCK: Final = 32  # compiled, a constant

_begin_at = super(Random, Random).seed  # that of Random itself takes anything, and looks first what it got


class Draws:
    """`width` uniform numbers in [0, 1) for each number `n` of the stream `name`."""

    __slots__ = ("_block", "_generator", "_name", "_seed", "_values", "_width")

    def __init__(self, seed: int, name: str, width: int) -> None:
        self._seed = seed
        self._name = name
        self._width = width
        self._block = -1
        self._generator: Random | None = None
        self._values: list[float] = []

    def of(self, number: int) -> list[float]:
        """The `width` numbers of draw `number`."""
        if number // BLOCK != self._block:
            self._fill(number // BLOCK)
        at = number % BLOCK * self._width
        return self._values[at : at + self._width]

    def one(self, number: int) -> float:
        """The number of draw `number`, where the width is 1."""
        if number // BLOCK != self._block:
            self._fill(number // BLOCK)
        return self._values[number % BLOCK]

    def _fill(self, block: int) -> None:
        seed = stream_seed(self._seed, f"{self._name}/{block}")
        if self._generator is None:
            self._generator = Random(seed)
        else:  # a new one would cost more than to fill a block
            _begin_at(self._generator, seed)
        self._values = list(starmap(self._generator.random, repeat((), BLOCK * self._width)))
        self._block = block
