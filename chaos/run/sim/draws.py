"""Random draws keyed by a number: draw `n` of a stream is the same whether or not the draws before it were taken.

A generator for each frame would cost more than the frame's delivery. So a stream consists of blocks, and each block has
a generator that fills the whole block; draw `n` is a place in block `n // BLOCK`.
"""

from __future__ import annotations

from itertools import repeat, starmap
from random import Random

from raft_chaos.chaos.schedule.streams import stream_seed

BLOCK = 32

_generator = Random()
_begin_at = super(Random, _generator).seed  # that of Random itself takes anything, and looks first what it got
_next = _generator.random
"""One generator fills all blocks, each from its own seed: to make one costs more than to fill a block of one width."""


class Draws:
    """`width` uniform numbers in [0, 1) for each number `n` of the stream `name`."""

    __slots__ = ("_block", "_name", "_seed", "_values", "_width")

    def __init__(self, seed: int, name: str, width: int) -> None:
        self._seed = seed
        self._name = name
        self._width = width
        self._block = -1
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
        _begin_at(stream_seed(self._seed, f"{self._name}/{block}"))
        self._values = list(starmap(_next, repeat((), BLOCK * self._width)))
        self._block = block
