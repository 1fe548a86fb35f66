"""The contents of a reproduction file, and how it is written and read.

The file is one JSON object of a few kB. The `execution` is the failure step by step; worlds with virtual time play it,
always with the same result. The `scenario` is a schedule that causes the failure; the world `live` runs it, and so do
the others if there is no execution (for a violation that shows only after the run). One of the two may be missing.
The failure of somebody else's system has a scenario, and `system` says which one it is; only `live` can run it.

The file ends with a checksum over everything before it, which detects a file that was cut short, damaged or edited.
The option `--edited` accepts a file that was edited on purpose.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos import mutants
from raft_chaos.chaos.execution.steps import Execution, ExecutionError, Start, check
from raft_chaos.chaos.reproduction.system import System
from raft_chaos.chaos.schedule.check import check_schedule
from raft_chaos.chaos.schedule.data import Schedule, ScheduleError
from raft_chaos.invariants.events import MALFORMED
from raft_chaos.invariants.history import QUEUE_FUNCTIONS
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.regular_file import read_regular
from raft_chaos.invariants.verdict import Violation
from raft_chaos.raft.state.timing import Timing

REPRODUCTION_SCHEMA = 1
DEFAULT_NAME = "reproduction.json"
"""In the directory of the run that failed."""
INVARIANTS = tuple(checker.invariant for checker in Judge(can=("get", *QUEUE_FUNCTIONS)).checkers)


class Origin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the failure was found: the run's world and seed, the commit, and the versions of Python and packages."""

    world: str
    seed: int
    commit: str | None = None
    versions: dict[str, str] = {}


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule, and the timing of the nodes that run it."""

    timing: Timing
    schedule: Schedule


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The violation when the file was made, and the SHA-256 of the trace that showed it (hexadecimal).

    The trace is that of the execution, or of the scenario's run in `sim` if there is no execution. A run in `live` has
    none: then it is "".
    """

    violation: Violation
    trace_sha256: str

    @property
    def invariant(self) -> str:
        return self.violation.invariant


class Reproduction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file. `mutant` is None if the failure was found in the unmodified core, which then has a bug; and for a
    `system` of somebody else, which other files leave out."""

    kind: Literal["reproduction"] = "reproduction"
    schema: int = REPRODUCTION_SCHEMA
    expected: Expected
    mutant: str | None
    origin: Origin
    execution: Execution | None = None
    scenario: Scenario | None = None
    system: System | msgspec.UnsetType = msgspec.UNSET
    sha256: str = ""

    @property
    def foreign(self) -> System | None:
        """The system of somebody else that it is about."""
        return None if self.system is msgspec.UNSET else self.system


class ReproductionError(Exception):
    """A file cannot be used as a reproduction. The message names the file, what is wrong and what to do."""


def save(reproduction: Reproduction, file: Path) -> None:
    """Writes the file with its checksum, one step, fault or operation per line. Raises OSError."""
    whole = replace(reproduction, sha256=_checksum(reproduction))
    staged = file.with_name(file.name + ".new")
    try:
        staged.write_text(_laid_out(msgspec.to_builtins(whole)) + "\n", encoding="utf-8")
        staged.replace(file)
    except OSError:
        staged.unlink(missing_ok=True)
        raise


def load(file: Path, *, edited: bool = False) -> Reproduction:
    """Reads and checks a file. Raises ReproductionError if it cannot be used, or was changed and `edited` is False."""
    try:
        raw = read_regular(file)
    except OSError as error:
        raise ReproductionError(f"{file}: cannot be read ({error.strerror})") from None
    return parse(raw, file, edited=edited)


def parse(raw: bytes, file: Path, *, edited: bool = False) -> Reproduction:
    """Like `load`, from the file's content. Errors name `file`."""
    try:
        first = msgspec.json.decode(raw, type=_Head)
        if first.kind != "reproduction":
            raise ReproductionError(f'{file}: not a reproduction; expected an object with "kind": "reproduction"')
        if first.schema < 1:
            raise ReproductionError(f"{file}: schema: expected 1 to {REPRODUCTION_SCHEMA}, got {first.schema}")
        if first.schema > REPRODUCTION_SCHEMA:
            raise ReproductionError(
                f"{file}: schema {first.schema} is newer than {REPRODUCTION_SCHEMA}, the newest that this version "
                "reads; use the version of raft-chaos that made it, or a later one"
            )
        reproduction = msgspec.json.decode(raw, type=Reproduction)
    except (*MALFORMED, ValueError) as error:
        raise ReproductionError(f"{file}: no reproduction file, such as RUN/reproduction.json: {error}") from None
    if not edited and not _is_as_made(raw, reproduction):
        raise ReproductionError(
            f"{file}: was changed after it was made: its checksum does not match. "
            "Get the file again, or give --edited to use it as it is"
        )
    _check(reproduction, file)
    return reproduction


class _Head(msgspec.Struct):
    """The fields that files of every version have."""

    kind: str = ""
    schema: int = 0


def _check(reproduction: Reproduction, file: Path) -> None:
    """Checks what the types cannot express. Raises ReproductionError."""
    if reproduction.execution is None and reproduction.scenario is None:
        raise ReproductionError(f"{file}: has neither execution nor scenario; expected at least one of them")
    if reproduction.foreign is not None and (reproduction.scenario is None or reproduction.execution is not None):
        raise ReproductionError(f"{file}: system: expected a scenario and no execution beside it")
    if reproduction.expected.invariant not in INVARIANTS:
        raise ReproductionError(
            f"{file}: expected.violation.invariant: there is no {reproduction.expected.invariant!r} in this version; "
            f"there are {', '.join(INVARIANTS)}"
        )
    if reproduction.mutant is not None and reproduction.mutant not in mutants.MUTANTS:
        raise ReproductionError(
            f"{file}: mutant: there is no {reproduction.mutant!r} in this version; "
            f"there are {', '.join(mutants.MUTANTS)}"
        )
    try:
        if reproduction.execution is not None:
            check(reproduction.execution)
            if not any(isinstance(step, Start) for step in reproduction.execution.steps):
                raise ExecutionError("steps: expected at least one start step; without it nothing is judged")
        if reproduction.scenario is not None:
            check_schedule(reproduction.scenario.schedule)
    except (ExecutionError, ScheduleError) as error:
        raise ReproductionError(f"{file}: {error}") from None


def _is_as_made(raw: bytes, reproduction: Reproduction) -> bool:
    """Whether the file has its checksum: as it is read, whatever its layout; or as it stands, since a version that
    knows more fields reads their defaults out of a file that was made without them."""
    if reproduction.sha256 == _checksum(reproduction):
        return True
    try:
        content = msgspec.json.decode(raw)
    except ValueError:
        return False  # bytes that are no text, in a value that is not read
    content["sha256"] = ""
    return reproduction.sha256 == sha256(msgspec.json.encode(content)).hexdigest()


def _checksum(reproduction: Reproduction) -> str:
    """The SHA-256 of the contents, independent of the layout."""
    return sha256(msgspec.json.encode(replace(reproduction, sha256=""))).hexdigest()


_ONE_A_LINE = ("steps", "calls", "faults", "operations", "witness")


def _laid_out(value: Any, indent: str = "", name: str = "") -> str:
    """JSON for people and for diffs: one field per line, and in long lists one item per line."""
    inner = indent + " "
    if isinstance(value, dict) and value and name not in _ONE_A_LINE:
        items = [f"{inner}{_compact(key)}: {_laid_out(item, inner, key)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + f"\n{indent}}}"
    if isinstance(value, list) and value and name in _ONE_A_LINE:
        return "[\n" + ",\n".join(f"{inner}{_compact(item)}" for item in value) + f"\n{indent}]"
    return _compact(value)


def _compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()
