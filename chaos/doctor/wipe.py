"""Whether a node that lost its data comes back, and whether its data is really gone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from raft_chaos.chaos.doctor.bench import Bench
from raft_chaos.chaos.doctor.eventually import PATIENCE_S, eventually
from raft_chaos.chaos.doctor.faults import KILL
from raft_chaos.chaos.doctor.finding import Finding
from raft_chaos.chaos.doctor.one_cluster import WHAT as ONE_SYSTEM
from raft_chaos.chaos.doctor.operations import READING
from raft_chaos.invariants.history import OpFunction

WHAT = "wipe"
KEY, VALUE = "check/wiped", "kept by the others"


async def wipe(bench: Bench) -> Finding | None:
    """One node is wiped, and the others still have what was written; then all are, and it is gone. Nothing else can be
    checked after that. None for a target that does not declare it."""
    if "wipe" not in bench.can:
        return None
    if "get" not in bench.can:
        return Finding(WHAT, "missing", "not checked: that needs a key to read, and the target declares none")
    if (skipped := bench.skipped(WHAT, *READING, ONE_SYSTEM, KILL)) is not None:
        return skipped
    write: OpFunction = "put" if "put" in bench.can else "append"

    async def written() -> bool | None:
        return True if (await bench.perform(write, KEY, VALUE)).type == "ok" else None

    if await eventually(written) is None:
        return Finding(WHAT, "wrong", f"no {write} before it was served")
    node = bench.nodes[-1]
    try:
        if (wrong := await _wiped(bench, [node])) is not None:
            return wrong
        if len(bench.nodes) > 1 and VALUE not in ((found := await bench.read(KEY, PATIENCE_S)) or ""):
            advice = "a minority may lose its disks only where the others bring a new node up to date"
            return Finding(WHAT, "wrong", f"after {node} was wiped a key was {found!r}, not {VALUE!r}", advice)
        if (wrong := await _wiped(bench, bench.nodes)) is not None:
            return wrong
        if (found := await bench.read(KEY, PATIENCE_S)) is not None:
            advice = "the data must be in {data}, or a class's method `wipe` must remove it"
            return Finding(WHAT, "wrong", f"after all nodes were wiped a key was still {found!r}", advice)
    except TimeoutError as error:
        return Finding(WHAT, "wrong", f"no answer in {PATIENCE_S:.0f} s after a wipe: {error}")
    return Finding(WHAT, "ok", f"{node} came back empty and the others had its data; with all wiped it was gone")


async def _wiped(bench: Bench, nodes: Sequence[str]) -> Finding | None:
    """Wipes these nodes and starts them again; what is wrong with that, if anything."""
    await bench.cluster.kill(nodes)
    files = [await bench.cluster.wipe(node) for node in nodes]
    up = await asyncio.gather(*(bench.cluster.start(node) for node in nodes))
    if not any(files):
        missing = f"there was no file in the data folder of {', '.join(nodes)}"
        return Finding(WHAT, "wrong", missing, "nodes must keep their data in {data}")
    if not all(up):
        down = [node for node, there in zip(nodes, up, strict=True) if not there]
        return Finding(WHAT, "wrong", f"{', '.join(down)} did not start again without data", "or say wipe = false")
    return None
