"""Independent random streams from one seed: each consumer names its own stream, so a new consumer shifts no other.

A stream's name says who draws, and for what: "workload/c0" (one client), "network/n1>n3/812" (message 812 of a link),
"timer/n2/3" (the third incarnation of a node). The seed of a stream is the BLAKE2b hash of the run's seed and the name;
it depends on nothing else, neither on PYTHONHASHSEED nor on the order in which streams are made.
"""

from __future__ import annotations

import random
from hashlib import blake2b


def stream_seed(seed: int, name: str) -> int:
    """The seed of the stream `name` of run `seed`: 0 to 2^64 - 1. For consumers that take a number, such as a node."""
    return int.from_bytes(blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "big")


def stream(seed: int, name: str) -> random.Random:
    """A new generator at the beginning of the stream `name` of run `seed`."""
    return random.Random(stream_seed(seed, name))
