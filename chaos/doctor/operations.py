"""Each operation that the target declares: what it does, and whether its failure is told apart from success."""

from __future__ import annotations

from collections.abc import AsyncIterator

from raft_chaos.chaos.doctor.bench import Bench
from raft_chaos.chaos.doctor.finding import CannotGoOnError, Finding, ended
from raft_chaos.chaos.doctor.queue import queue
from raft_chaos.chaos.faults.abilities import OF_QUEUES, OPERATIONS
from raft_chaos.chaos.targets.door import REFUSED
from raft_chaos.invariants.history import Value

ABSENT, PUT, APPEND = "get of an absent key", "put, then get", "append twice, then get"
CAS, REFUSED_CAS, CAS_OF_ABSENT = "cas with the right value", "cas with a wrong value", "cas that expects an absent key"
DELETE = "delete, then get"
READING = (ABSENT, PUT, APPEND)
"""What must be right, or nothing that is read means anything."""
ALL = (*READING, CAS, REFUSED_CAS, CAS_OF_ABSENT, DELETE)
PATIENCE_S = 15.0
"""How long a fresh cluster may take until it carries out its first operation."""


async def operations(bench: Bench) -> AsyncIterator[Finding]:
    """Checks each operation with keys of its own. Raises CannotGoOnError if nothing can be written or read."""
    can = bench.can
    if {*OF_QUEUES} <= can:
        async for finding in queue(bench, PATIENCE_S):
            yield finding
        if can.isdisjoint(OPERATIONS):
            yield Finding("keys", "missing", "not declared, so linearizability is not judged")
            return
    for name in OPERATIONS:
        if name not in can:
            yield Finding(name, "missing", "not declared, so no client asks for it")
    if "get" in can:
        yield await _absent(bench)
    if "put" in can and "get" in can:
        yield bench.skipped(PUT, ABSENT) or await _put(bench)
    if "append" in can and "get" in can:
        yield bench.skipped(APPEND, ABSENT, PUT) or await _append(bench)
    if {"cas", "put", "get"} <= can:
        yield bench.skipped(CAS, *READING) or await _cas(bench)
        yield bench.skipped(REFUSED_CAS, *READING, CAS) or await _refused_cas(bench)
        yield bench.skipped(CAS_OF_ABSENT, *READING, CAS) or await _cas_of_absent(bench)
    if {"delete", "put", "get"} <= can:
        yield bench.skipped(DELETE, *READING) or await _delete(bench)


async def _absent(bench: Bench) -> Finding:
    """The first operation: it waits until the cluster serves."""
    what = ABSENT
    try:
        value = await bench.read("check/absent", PATIENCE_S)
    except TimeoutError as error:
        advice = "look at the request of get, at its `ok`, and at what the nodes print"
        raise CannotGoOnError(
            Finding(what, "wrong", f"no node answered in {PATIENCE_S:.0f} s: {error}", advice, bench.heard())
        ) from None
    if value is None:
        return Finding(what, "ok", "nothing there")
    advice = "`value` must lead to nothing, or to null, for an absent key"
    return Finding(what, "wrong", f"it found {value!r}", advice, bench.heard())


async def _put(bench: Bench) -> Finding:
    what = PUT
    put = await bench.perform("put", "check/put", "first value")
    if put.type != "ok":
        advice = "look at the request of put, and at its `ok`"
        raise CannotGoOnError(Finding(what, "wrong", f"the put ended as {ended(put)}", advice, bench.heard()))
    return await _reads(bench, what, "check/put", "first value")


async def _append(bench: Bench) -> Finding:
    what = APPEND
    for value in ("a", "b"):
        if (op := await bench.perform("append", "check/append", value)).type != "ok":
            advice = "look at its request and its `ok`"
            return Finding(what, "wrong", f"the append ended as {ended(op)}", advice, bench.heard())
    return await _reads(bench, what, "check/append", ["a", "b"])


async def _cas(bench: Bench) -> Finding:
    what = CAS
    await bench.perform("put", "check/cas", "old")
    cas = await bench.perform("cas", "check/cas", "new", "old")
    if cas.type != "ok":
        return Finding(what, "wrong", f"it ended as {ended(cas)}", "look at its `ok`", bench.heard())
    return await _reads(bench, what, "check/cas", "new")


async def _refused_cas(bench: Bench) -> Finding:
    what = REFUSED_CAS
    await bench.perform("put", "check/refused", "old")
    cas = await bench.perform("cas", "check/refused", "new", "other")
    heard = bench.heard()
    read = await _reads(bench, what, "check/refused", "old")
    if read.outcome == "wrong":
        seen = f"{read.seen}, though the cas expected another value"
        return Finding(what, "wrong", seen, "it must change nothing", heard)
    if cas.type == "fail" and (cas.index is not None or (cas.error or "").startswith(REFUSED)):
        return Finding(what, "ok", "refused, and nothing changed")
    advice = (
        "`fail` must say how an answer shows that the value was another one; in a class, return "
        "Fail(..., refused=True) then"
    )
    return Finding(what, "wrong", f"it ended as {ended(cas)}, and nothing changed", advice, heard)


async def _cas_of_absent(bench: Bench) -> Finding:
    what = CAS_OF_ABSENT
    taken = await bench.perform("cas", "check/new", "created")
    if taken.type == "fail" and (taken.error or "").startswith("not sent"):
        return Finding(what, "missing", "such operations fail without being sent", "give `absent`, a body for them")
    if taken.type != "ok":
        return Finding(what, "wrong", f"it ended as {ended(taken)}", "look at `absent`, and at `ok`", bench.heard())
    await bench.perform("put", "check/taken", "old")
    refused = await bench.perform("cas", "check/taken", "created")
    if refused.type == "ok":
        return Finding(what, "wrong", "it was ok for a key that is there", "look at `absent`", bench.heard())
    return await _reads(bench, what, "check/new", "created")


async def _delete(bench: Bench) -> Finding:
    what = DELETE
    await bench.perform("put", "check/delete", "old")
    if (op := await bench.perform("delete", "check/delete")).type != "ok":
        advice = "look at its request and its `ok`"
        return Finding(what, "wrong", f"the delete ended as {ended(op)}", advice, bench.heard())
    return await _reads(bench, what, "check/delete", None)


async def _reads(bench: Bench, what: str, key: str, expected: Value) -> Finding:
    """Whether a get finds this value."""
    get = await bench.perform("get", key)
    if get.type != "ok":
        advice = "look at the request of get, and at its `ok`"
        return Finding(what, "wrong", f"the get ended as {ended(get)}", advice, bench.heard())
    if get.value != expected:
        seen = f"it read {get.value!r}, expected {expected!r}"
        return Finding(what, "wrong", seen, "look at `value` of get", bench.heard())
    return Finding(what, "ok", f"read {expected!r}")
