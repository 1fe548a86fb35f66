"""Arguments for a core of one operation: it saw a value that cannot have existed, whatever else happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raft_chaos.invariants.linearizability import format
from raft_chaos.invariants.linearizability.blocks import return_of
from raft_chaos.invariants.linearizability.operations import NOT_REPORTED, Model, Operation
from raft_chaos.invariants.linearizability.values import frozen


def argument_for_one(operation: Operation, others: Sequence[Operation], model: Model) -> str | None:
    """The argument why `operation` alone is a violation, or None. `others` are all operations of its key."""
    if operation.status != "refused" and operation.f not in ("read", "cas"):
        return None
    seen = format.observed(operation)
    if seen is NOT_REPORTED or model == "kv-append":
        return None
    writes = [o for o in others if format.changes(o) and o is not operation]
    if isinstance(seen, list | tuple) and model != "register":
        why = _of_list(operation, seen, [o for o in writes if o.f == "append"])
    else:
        why = _of_value(operation, seen, [o for o in writes if o.f in ("write", "cas")])
    return format.contradiction(f"{format.sentence(operation)}, but {why}") if why else None


def _of_value(operation: Operation, seen: Any, writes: Sequence[Operation]) -> str | None:
    sources = [o for o in writes if frozen(o.value) == frozen(seen)]
    if seen is None or any(o.called <= return_of(operation) for o in sources):
        return None
    return format.never_written(operation, later=bool(sources))


def _of_list(operation: Operation, seen: Sequence[Any], appends: Sequence[Operation]) -> str | None:
    """A clause for the first token that the list shows more often than it had been appended by then, or None."""
    places: dict[Any, list[int]] = {}
    called = [o for o in appends if o.called <= return_of(operation)]
    for place, token in enumerate(seen, 1):
        places.setdefault(frozen(token), []).append(place)
    for token, at in places.items():
        sources = [o for o in called if frozen(o.value) == token]
        if len(at) > len(sources):
            return _too_often(seen[at[0] - 1], at, len(seen), sources, any(frozen(o.value) == token for o in appends))
    return None


def _too_often(token: Any, at: list[int], size: int, sources: Sequence[Operation], later: bool) -> str:
    if not sources:
        return f"nothing {'had' if later else 'ever'} appended {format.shown(token)}{' when it returned' * later}"
    by = " and ".join(map(format.name, sources))
    return f"{format.more_than_once(token, at, size)}, and only {by} had been called by then to append it"
