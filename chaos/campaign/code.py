"""The code that runs a seed: it has to be the same on every machine, or the same seed has other results there."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cache
from typing import NamedTuple, ParamSpec, TypeVar

from raft_chaos.chaos.campaign.source import source_digest

P = ParamSpec("P")
T = TypeVar("T")


class OtherCodeError(Exception):
    """A worker has other code, or other versions, than who gave it the work. The message says which."""


class Code(NamedTuple):
    """What has to be the same wherever a seed runs."""

    source: str
    python: str
    msgspec: str


@cache
def code() -> Code:
    """That of this process."""
    from importlib.metadata import version  # it brings the parser of mails

    return Code(source_digest(), platform.python_version(), version("msgspec"))


def with_code(expected: Code, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls it in the worker, if that has this code. Raises OtherCodeError."""
    for name, one, other in zip(Code._fields, expected, code(), strict=True):
        if one != other:
            raise OtherCodeError(
                f"a worker on {platform.node()} has {name} {other}, and this process {one}: install the same version "
                "of raft-chaos, Python and msgspec everywhere, and start the workers again"
            )
    return call(*args, **kwargs)
