"""Each operation that the target declares: what it does, and whether its failure is told apart from success."""

from __future__ import annotations

from collections.abc import AsyncIterator

from raft_chaos.chaos.doctor.bench import Bench
from raft_chaos.chaos.doctor.finding import CannotGoOnError, Finding, ended
from raft_chaos.chaos.doctor.queue import queue
from raft_chaos.chaos.faults.abilities import OF_QUEUES, OPERATIONS
from raft_chaos.chaos.targets.door import REFUSED
from raft_chaos.invariants.history import Value

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
        yield await _put(bench)
    if "append" in can and "get" in can:
        yield await _append(bench)
    if {"cas", "put", "get"} <= can:
        yield await _cas(bench)
        yield await _refused_cas(bench)
        yield await _cas_of_absent(bench)
    if {"delete", "put", "get"} <= can:
        yield await _delete(bench)


async def _absent(bench: Bench) -> Finding:
    """The first operation: it waits until the cluster serves."""
    what = "get of an absent key"
    try:
        value = await bench.read("check/absent", PATIENCE_S)
    except TimeoutError as error:
        advice = "look at the request of get, at its `ok`, and at what the nodes print"
        raise CannotGoOnError(
            Finding(what, "wrong", f"no node answered in {PATIENCE_S:.0f} s: {error}", advice)
        ) from None
    if value is None:
        return Finding(what, "ok", "nothing there")
    return Finding(what, "wrong", f"it found {value!r}", "`value` must lead to nothing, or to null, for an absent key")


async def _put(bench: Bench) -> Finding:
    what = "put, then get"
    put = await bench.perform("put", "check/put", "first value")
    if put.type != "ok":
        advice = "look at the request of put, and at its `ok`"
        raise CannotGoOnError(Finding(what, "wrong", f"the put ended as {ended(put)}", advice))
    return await _reads(bench, what, "check/put", "first value")


async def _append(bench: Bench) -> Finding:
    what = "append twice, then get"
    for value in ("a", "b"):
        if (op := await bench.perform("append", "check/append", value)).type != "ok":
            return Finding(what, "wrong", f"the append ended as {ended(op)}", "look at its request and its `ok`")
    return await _reads(bench, what, "check/append", ["a", "b"])


async def _cas(bench: Bench) -> Finding:
    what = "cas with the right value"
    await bench.perform("put", "check/cas", "old")
    cas = await bench.perform("cas", "check/cas", "new", "old")
    if cas.type != "ok":
        return Finding(what, "wrong", f"it ended as {ended(cas)}", "look at its `ok`")
    return await _reads(bench, what, "check/cas", "new")


async def _refused_cas(bench: Bench) -> Finding:
    what = "cas with a wrong value"
    await bench.perform("put", "check/refused", "old")
    cas = await bench.perform("cas", "check/refused", "new", "other")
    read = await _reads(bench, what, "check/refused", "old")
    if read.outcome == "wrong":
        return Finding(what, "wrong", f"{read.seen}, though the cas expected another value", "it must change nothing")
    if cas.type == "fail" and (cas.index is not None or (cas.error or "").startswith(REFUSED)):
        return Finding(what, "ok", "refused, and nothing changed")
    advice = (
        "`fail` must say how an answer shows that the value was another one; in a class, return "
        "Fail(..., refused=True) then"
    )
    return Finding(what, "wrong", f"it ended as {ended(cas)}, and nothing changed", advice)


async def _cas_of_absent(bench: Bench) -> Finding:
    what = "cas that expects an absent key"
    taken = await bench.perform("cas", "check/new", "created")
    if taken.type == "fail" and (taken.error or "").startswith("not sent"):
        return Finding(what, "missing", "such operations fail without being sent", "give `absent`, a body for them")
    if taken.type != "ok":
        return Finding(what, "wrong", f"it ended as {ended(taken)}", "look at `absent`, and at `ok`")
    await bench.perform("put", "check/taken", "old")
    refused = await bench.perform("cas", "check/taken", "created")
    if refused.type == "ok":
        return Finding(what, "wrong", "it was ok for a key that is there", "look at `absent`")
    return await _reads(bench, what, "check/new", "created")


async def _delete(bench: Bench) -> Finding:
    what = "delete, then get"
    await bench.perform("put", "check/delete", "old")
    if (op := await bench.perform("delete", "check/delete")).type != "ok":
        return Finding(what, "wrong", f"the delete ended as {ended(op)}", "look at its request and its `ok`")
    return await _reads(bench, what, "check/delete", None)


async def _reads(bench: Bench, what: str, key: str, expected: Value) -> Finding:
    """Whether a get finds this value."""
    get = await bench.perform("get", key)
    if get.type != "ok":
        return Finding(what, "wrong", f"the get ended as {ended(get)}", "look at the request of get, and at its `ok`")
    if get.value != expected:
        return Finding(what, "wrong", f"it read {get.value!r}, expected {expected!r}", "look at `value` of get")
    return Finding(what, "ok", f"read {expected!r}")
