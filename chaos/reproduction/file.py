"""What a reproduction file holds, and how it is written and read.

One JSON object, a few kB. The `execution` is the failure step by step; worlds of virtual time play it, always with the
same result. The `scenario` is a schedule that brings the failure about; the world `live` runs it, and the others where
there is no execution (as for a violation that is only seen once the run is over). One of the two may be missing.

The file ends with a checksum over everything before it. So a file that was cut short, damaged or edited is told from
one that is as it was made; whoever edits one on purpose says so when running it.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.execution.steps import Execution, ExecutionError, Start, check
from raft_chaos.chaos.mutants import MUTANTS
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.data import Schedule, ScheduleError
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.verdict import Violation
from raft_chaos.raft.state.timing import Timing

REPRODUCTION_SCHEMA = 1
INVARIANTS = tuple(verdict.invariant for verdict in Judge().verdicts())


class Origin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the failure was found: the run's world and seed, the commit and the versions of what it ran on."""

    world: str
    seed: int
    commit: str | None = None
    versions: dict[str, str] = {}


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule, and the timing of the nodes under it."""

    timing: Timing
    schedule: Schedule


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is violated, as it was told when the file was made, and the digest of the trace with which it was.

    The trace is that of the execution, or of the scenario's run in `sim` where there is no execution.
    """

    violation: Violation
    trace_sha256: str

    @property
    def invariant(self) -> str:
        return self.violation.invariant


class Reproduction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file. `mutant` None: over the right core, so that it is a mistake of that core if it fails."""

    kind: Literal["reproduction"] = "reproduction"
    schema: int = REPRODUCTION_SCHEMA
    expected: Expected
    mutant: str | None
    origin: Origin
    execution: Execution | None = None
    scenario: Scenario | None = None
    sha256: str = ""


class ReproductionError(Exception):
    """A file cannot be used as a reproduction: says which, where, what is wrong, and what to do."""


def save(reproduction: Reproduction, file: Path) -> None:
    """Writes the file with its checksum, a step, fault or operation a line. Raises OSError."""
    whole = replace(reproduction, sha256=_checksum(reproduction))
    staged = file.with_name(file.name + ".new")
    try:
        staged.write_text(_laid_out(msgspec.to_builtins(whole)) + "\n")
        staged.replace(file)
    except OSError:
        staged.unlink(missing_ok=True)
        raise


def load(file: Path, *, edited: bool = False) -> Reproduction:
    """Raises ReproductionError; for one that was changed since it was made only unless `edited`."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ReproductionError(f"{file}: cannot be read ({error.strerror})") from None
    return parse(raw, file, edited=edited)


def parse(raw: bytes, file: Path, *, edited: bool = False) -> Reproduction:
    """What `load` makes of the content; errors name `file`."""
    try:
        first = msgspec.json.decode(raw, type=_Head)
        if first.kind != "reproduction":
            raise ReproductionError(f'{file}: no reproduction; expected an object with "kind": "reproduction"')
        if first.schema < 1:
            raise ReproductionError(f"{file}: schema: expected 1 to {REPRODUCTION_SCHEMA}, got {first.schema}")
        if first.schema > REPRODUCTION_SCHEMA:
            raise ReproductionError(
                f"{file}: schema {first.schema} is newer than {REPRODUCTION_SCHEMA}, the newest that this version "
                "reads; use the version of raft-chaos that made it, or a later one"
            )
        reproduction = msgspec.json.decode(raw, type=Reproduction)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ReproductionError(f"{file}: {error}") from None
    if not edited and _checksum(reproduction) != reproduction.sha256:
        raise ReproductionError(
            f"{file}: was changed since it was made: its checksum does not fit. "
            "Get the file again, or give --edited to use it as it is now"
        )
    _check(reproduction, file)
    return reproduction


class _Head(msgspec.Struct):
    """What every version's file has."""

    kind: str = ""
    schema: int = 0


def _check(reproduction: Reproduction, file: Path) -> None:
    """What types cannot say."""
    if reproduction.execution is None and reproduction.scenario is None:
        raise ReproductionError(f"{file}: neither execution nor scenario; expected at least one of them")
    if reproduction.expected.invariant not in INVARIANTS:
        raise ReproductionError(
            f"{file}: expected.violation.invariant: there is no {reproduction.expected.invariant!r} in this version; "
            f"there are {', '.join(INVARIANTS)}"
        )
    if reproduction.mutant is not None and reproduction.mutant not in MUTANTS:
        raise ReproductionError(
            f"{file}: mutant: there is no {reproduction.mutant!r} in this version; there are {', '.join(MUTANTS)}"
        )
    try:
        if reproduction.execution is not None:
            check(reproduction.execution)
            if not any(isinstance(step, Start) for step in reproduction.execution.steps):
                raise ExecutionError("steps: expected at least one node to start, or nothing is judged")
        if reproduction.scenario is not None:
            check_schedule(reproduction.scenario.schedule)
    except (ExecutionError, ScheduleError) as error:
        raise ReproductionError(f"{file}: {error}") from None


def _checksum(reproduction: Reproduction) -> str:
    """Of what the file says, not of how it is laid out."""
    return sha256(msgspec.json.encode(replace(reproduction, sha256=""))).hexdigest()


_ONE_A_LINE = ("steps", "calls", "faults", "operations", "witness")


def _laid_out(value: Any, indent: str = "", name: str = "") -> str:
    """JSON for people and for diffs: objects are opened up, the items of long lists stand on a line each."""
    inner = indent + " "
    if isinstance(value, dict) and value and name not in _ONE_A_LINE:
        items = [f"{inner}{_compact(key)}: {_laid_out(item, inner, key)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(value, list) and value and name in _ONE_A_LINE:
        return "[\n" + ",\n".join(f"{inner}{_compact(item)}" for item in value) + f"\n{indent}]"
    return _compact(value)


def _compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()
