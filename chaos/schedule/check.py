"""What an entry of a schedule must be, beyond its types: schedules are also written and shortened by hand."""

from __future__ import annotations

import re

from raft_chaos.chaos.faults.actions import (
    LEADER,
    OTHERS,
    PLACEHOLDERS,
    VOTER,
    WHOLE_PERMILLE,
    Action,
    Clock,
    Clog,
    Kill,
    Network,
    Partition,
    Reset,
    SlowSync,
)
from raft_chaos.chaos.schedule.data import Fault, Header, Operation, Schedule, ScheduleError, When

RATE_PPM = (-500_000, 1_000_000)
"""How far a clock's rate may be off: from half the true speed to twice that."""


JUMP_US_MAX = 60_000_000


def check_schedule(schedule: Schedule) -> None:
    """Raises ScheduleError for a schedule that was not read by `load` and cannot be obeyed."""
    check_header(schedule.header)
    entries: list[Fault | Operation] = [*schedule.faults, *schedule.operations]
    taken: set[str] = set()
    for entry in entries:
        try:
            if entry.id in taken:
                raise ScheduleError("is taken by an earlier entry; expected an id of its own")
            taken.add(entry.id)
            if isinstance(entry, Fault):
                check_fault(entry, schedule.header)
            else:
                check_operation(entry, schedule.header)
        except ScheduleError as error:
            raise ScheduleError(f"{entry.id}: {error}") from None


def check_header(header: Header) -> None:
    for field, names in (("nodes", header.nodes), ("clients", header.clients)):
        if not names or len(set(names)) != len(names):
            raise ScheduleError(f"{field}: expected at least one name, each only once, got {names}")
        if odd := [name for name in names if not re.fullmatch(r"[A-Za-z0-9_-]+", name)]:
            # A node's name is also that of its folder.
            raise ScheduleError(f"{field}: {odd[0]!r} is no name; expected letters, digits, - and _")
    if reserved := [name for name in header.nodes if name in PLACEHOLDERS]:
        raise ScheduleError(f"nodes: {reserved[0]!r} stands for whoever has that part, and cannot be a node's name")
    if not 0 <= header.safety_from_us <= header.safety_until_us or header.liveness_for_us < 0:
        raise ScheduleError(
            "expected 0 <= safety_from_us <= safety_until_us and 0 <= liveness_for_us, "
            f"got {header.safety_from_us}, {header.safety_until_us} and {header.liveness_for_us}"
        )
    model = header.model
    _check_range("model.latency_min_us and model.latency_max_us", model.latency_min_us, model.latency_max_us)
    _check_range("model.sync_min_us and model.sync_max_us", model.sync_min_us, model.sync_max_us)


def check_fault(fault: Fault, header: Header) -> None:
    when, action = fault.when, fault.action
    if (when.at_us is None) == (when.on is None):
        raise ScheduleError("when: expected either at_us or on")
    if when.nth < 1:
        raise ScheduleError(f"when.nth: expected 1 or more, got {when.nth}")
    for field, value in (
        ("when.at_us", when.at_us or 0),
        ("when.after_us", when.after_us),
        ("duration_us", fault.duration_us),
    ):
        _check_not_negative(field, value)
    if isinstance(action, Partition | Clog):
        _check_nodes("action.grudge", list(action.grudge), header, [LEADER, OTHERS])
        for receiver, senders in action.grudge.items():
            _check_nodes(f"action.grudge.{receiver}", senders, header, [LEADER, OTHERS])
    else:
        _check_nodes("action.nodes", action.nodes, header, _placeholders(action, when))
    match action:
        case Kill():
            _check_kill(action)
        case SlowSync(_, min_us, max_us):
            _check_range("action.min_us and max_us", min_us, max_us)
        case Network():
            _check_range("action.delay_min_us and delay_max_us", action.delay_min_us, action.delay_max_us)
            _check_not_negative("action.delay_mean_us", action.delay_mean_us)
            for field in ("loss", "duplicate", "reorder"):
                _check_probability(f"action.{field}", getattr(action, field))
        case Reset(_, delivered):
            _check_probability("action.delivered", delivered)
            if fault.duration_us:
                raise ScheduleError(f"duration_us: expected 0, a reset is over at once, got {fault.duration_us}")
        case Clock(_, rate_ppm, jump_us):
            _check_within("action.rate_ppm", rate_ppm, *RATE_PPM)
            _check_within("action.jump_us", jump_us, 0, JUMP_US_MAX)


def _check_kill(kill: Kill) -> None:
    count = len(kill.nodes)
    if len(kill.restart_after_us) != count:
        raise ScheduleError(
            f"action.restart_after_us: expected {count} numbers, one a node, got {len(kill.restart_after_us)}"
        )
    for value in kill.restart_after_us:
        _check_not_negative("action.restart_after_us", value)
    if len(kill.keep_permille) not in (0, count):
        raise ScheduleError(
            f"action.keep_permille: expected {count} numbers, one a node, or none, got {len(kill.keep_permille)}"
        )
    for value in kill.keep_permille:
        _check_within("action.keep_permille", value, 0, WHOLE_PERMILLE)


def check_operation(operation: Operation, header: Header) -> None:
    if operation.client not in header.clients:
        raise ScheduleError(f"client: {operation.client!r} is unknown; expected one of {', '.join(header.clients)}")
    if not re.fullmatch(re.escape(operation.client) + r"/\d+", operation.id):
        raise ScheduleError(f"id: expected {operation.client}/ and a number, got {operation.id!r}")
    _check_not_negative("at_us", operation.at_us)
    if not operation.key:
        raise ScheduleError("key: expected at least one character")
    writes = operation.f in ("put", "append", "cas")
    if isinstance(operation.value, str) != writes or isinstance(operation.value, list):
        raise ScheduleError(
            f"value: expected {'a string' if writes else 'none'} for {operation.f}, got {operation.value!r}"
        )
    if isinstance(operation.expected, list) or (operation.expected is not None and operation.f != "cas"):
        raise ScheduleError(f"expected: a string or nothing for cas, nothing for others, got {operation.expected!r}")


def _placeholders(action: Action, when: When) -> list[str]:
    """What may stand for a node. A kill says for each node when it starts again, so it cannot take "others"."""
    if not isinstance(action, Kill):
        return [LEADER, OTHERS]
    return [LEADER, VOTER] if when.on == "vote_granted" else [LEADER]


def _check_nodes(field: str, names: list[str], header: Header, placeholders: list[str]) -> None:
    allowed = [*header.nodes, *placeholders]
    if unknown := [name for name in names if name not in allowed]:
        raise ScheduleError(f"{field}: {unknown[0]!r} is unknown; expected some of {', '.join(allowed)}")
    if not names or len(set(names)) != len(names):
        raise ScheduleError(f"{field}: expected at least one node, each only once, got {names}")


def _check_range(field: str, low: int, high: int) -> None:
    if not 0 <= low <= high:
        raise ScheduleError(f"{field}: expected 0 <= min <= max, got {low} and {high}")


def _check_within(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ScheduleError(f"{field}: expected {least} to {most}, got {value}")


def _check_probability(field: str, probability: float) -> None:
    if not 0 <= probability <= 1:
        raise ScheduleError(f"{field}: expected a probability from 0 to 1, got {probability}")


def _check_not_negative(field: str, value: int) -> None:
    if value < 0:
        raise ScheduleError(f"{field}: expected 0 or more µs, got {value}")
