"""The folder of an exploration, `explore-<key>/`: it can be stopped, or killed, and continues there.

    journal.jsonl   a header, then a line for each attempt as it ends, with the states that it was the first to reach
    corpus/         the schedules from which further ones are made

The key is a hash of everything that decides the choices: the settings, the seed, the ways, how many attempts are under
way at once, and the source code.
"""

from __future__ import annotations

import hashlib
import platform
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from raft_chaos.chaos.campaign.line_file import LineFile
from raft_chaos.chaos.campaign.source import source_digest
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.invariants.verdict import Outcome

SCHEMA = 1
_PAIR = struct.Struct(">QQ")


class ExplorationError(Exception):
    """The folder of an exploration cannot be used. The message says what is wrong, and what to do."""


class ExplorationHeader(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="exploration"):
    """The first line. `source` is the hash of the code."""

    schema: int = SCHEMA
    key: str
    seed: int
    ways: list[str]
    source: str
    python: str
    mutant: str | None


class AttemptEnded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="attempt"):
    """One attempt: how it was made (`chaos.exploration.attempt`), and what its run came to.

    `states` is how many states the run reached; `new` has those that no earlier run reached, each as 8 bytes with the
    time of its first moment (µs, 8 bytes). `run` is the run directory of a failure, if it was kept, and `repro` the
    command that repeats it.
    """

    number: int
    way: str
    parent: int | None = None
    drawn: str = ""
    seed: int
    states: int = 0
    new: bytes = b""
    deliveries: int = 0
    cpu_s: float = 0.0
    verdict: Outcome
    violated: list[str] = []
    run: str | None = None
    repro: str = ""

    @property
    def new_states(self) -> int:
        """How many of its states no earlier run reached."""
        return len(self.new) // _PAIR.size

    @property
    def first_us(self) -> dict[int, int]:
        """The new states, each with the time of its first moment."""
        return dict(_PAIR.iter_unpack(self.new))


Line: TypeAlias = ExplorationHeader | AttemptEnded

decode_line = msgspec.json.Decoder(Line).decode
_encode = msgspec.json.Encoder().encode


def packed(first_us: dict[int, int]) -> bytes:
    """New states as a line holds them."""
    return b"".join(_PAIR.pack(state, at_us) for state, at_us in first_us.items())


def describe(settings: Settings, seed: int, ways: Sequence[str], ahead: int) -> ExplorationHeader:
    """The header of this exploration, with its key. `ahead` attempts are under way at once."""
    decides = msgspec.to_builtins(msgspec.structs.replace(settings, options=[]))
    source, python = source_digest(), platform.python_version()
    key = hashlib.sha256(_encode([SCHEMA, decides, seed, list(ways), ahead, source, python])).hexdigest()[:12]
    return ExplorationHeader(key=key, seed=seed, ways=list(ways), source=source, python=python, mutant=settings.mutant)


class Journal:
    """The folder below `out`, open and locked. Use as a context manager. `resumed` is how many attempts had ended."""

    def __init__(self, out: Path, header: ExplorationHeader) -> None:
        """Raises ExplorationError if it is damaged or another process has it open, OSError if it cannot be made."""
        self.folder = out / f"explore-{header.key}"
        self.path = self.folder / "journal.jsonl"
        self.corpus = self.folder / "corpus"
        self.corpus.mkdir(parents=True, exist_ok=True)
        self.resumed = 0
        self._lines: LineFile[Line] = LineFile(self.path, decode_line, "exploration", ExplorationError, self._observe)
        if self._lines.is_new:
            self._lines.append(header)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def append(self, line: AttemptEnded) -> None:
        self._lines.append(line)

    def earlier(self) -> Iterator[AttemptEnded]:
        """The attempts that had ended when it was opened, one at a time."""
        return (line for line in self._lines.earlier() if isinstance(line, AttemptEnded))

    def _observe(self, number: int, line: Line) -> None:
        self.resumed += isinstance(line, AttemptEnded)
