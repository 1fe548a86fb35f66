"""Each fault that a target declares is seen to have its effect: a cut holds bytes back in each direction, a killed node
has its data again, a paused one does not answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial

from raft_chaos.chaos.doctor.bench import Bench
from raft_chaos.chaos.doctor.eventually import PATIENCE_S, POLL_S, eventually
from raft_chaos.chaos.doctor.finding import CannotGoOnError, Finding
from raft_chaos.chaos.doctor.one_cluster import WHAT as ONE_SYSTEM
from raft_chaos.chaos.doctor.operations import READING
from raft_chaos.chaos.doctor.queue import emptied
from raft_chaos.chaos.faults.abilities import OF_NETWORKS, Ability
from raft_chaos.chaos.faults.links import TRAFFIC, Link
from raft_chaos.chaos.run.live.network.rules import LinkRule
from raft_chaos.chaos.targets.log_lines import log_lines_of
from raft_chaos.chaos.targets.protocol import HearsStatus, Status
from raft_chaos.invariants.history import Op

LEADERSHIP, CUT, KILL = "status: who leads", "cut: each node in turn", "kill and restart"
CUT_S = 5.0
EFFECT_S = 5.0
ELECTED_S = 5.0
MANY, MANY_S = 300, 3.0
"""How many writes there are right before all nodes are killed, and how long they may take."""

KEPT = {
    "old": "what a node keeps when it shortens its log, such as a snapshot or a dump, must contain all of the data; if "
    "data does not survive SIGKILL, say persistent = false",
    "new": "data must survive SIGKILL in {data}: if the system promises that, it is broken, or writes elsewhere; "
    "if it does not, say persistent = false",
}
"""What to do if a key is lost."""
NOT_SYNCED = (
    "with this disk only what was synced (fsync) survives: does it hold with --disk kept? then it syncs too late"
)


async def leadership(bench: Bench) -> Finding:
    """Some node says that it leads, and no two do in the same term."""
    what = LEADERSHIP
    if (skipped := bench.skipped(what, ONE_SYSTEM)) is not None:
        return skipped
    if "leader" not in bench.can:
        return Finding(what, "missing", "not declared: faults on the leader hit a drawn node instead")

    if log_lines_of(bench.target) and not any((await bench.statuses()).values()):
        return Finding(what, "missing", "no status says it; lines of logs do")

    async def found() -> str | None:
        said = await bench.statuses()
        leads = [node for node, status in said.items() if status is not None and status.role == "leader"]
        return leads[0] if len(leads) == 1 else None

    leader = await eventually(found, ELECTED_S)
    said = await bench.statuses()
    told = "; ".join(f"{node}: {_in_words(status)}" for node, status in said.items())
    if leader is None:
        advice = "exactly one node must lead: look at the request of status and at `leads`"
        return Finding(what, "wrong", told, advice, await _heard_of_status(bench))
    status = said.get(leader)
    if "term" in bench.can and (status is None or status.term is None):
        return Finding(what, "wrong", told, "`term` must lead to a number", await _heard_of_status(bench))
    return Finding(what, "ok", told if "term" in bench.can else f"{leader} leads; terms are not declared")


def _in_words(status: Status | None) -> str:
    if status is None:
        return "no answer"
    return f"{status.role}" if status.term is None else f"{status.role} in term {status.term}"


async def _heard_of_status(bench: Bench) -> str:
    """What each node answers to the question for its status, a line for each answer."""
    target = bench.target
    if not isinstance(target, HearsStatus):
        return ""
    asked = {node: url for node in bench.nodes if (url := bench.cluster.url(node)) is not None}
    heard = [await target.heard_of_status(bench.session, url) for url in asked.values()]
    named: dict[str, list[str]] = {}
    for node, answer in zip(asked, heard, strict=True):
        named.setdefault(answer, []).append(node)
    return "\n".join(f"{' '.join(nodes)}: {answer}" for answer, nodes in named.items())


async def faults(bench: Bench) -> AsyncIterator[Finding]:
    """One finding for each fault, declared or not."""
    early = await _keep(bench, "old")
    if "cut" in bench.can:
        yield await _cut(bench)
    else:
        yield Finding("cut", "missing", f"the network {bench.target.network} breaks no links")
    for ability in OF_NETWORKS[1:]:
        if ability == "corrupt" and ability in bench.can and "checksum" not in bench.can:
            yield Finding(ability, "missing", "not declared (`checksum`): no run flips bits of what its nodes send")
        elif ability in bench.can:
            yield await _of_links(bench, ability)
        elif "cut" in bench.can:
            yield Finding(ability, "missing", f"the network {bench.target.network} does not do that to a link")
    yield await _pause(bench)
    if "stop" in bench.can:
        yield await _stop(bench)
    else:
        yield Finding("stop", "missing", "not declared: no run asks a node to end")
    if "kill" in bench.can:
        yield await _kill(bench, early)
    else:
        yield Finding("kill", "missing", "not declared (`persistent`): no run kills a node")


async def _cut(bench: Bench) -> Finding:
    """Each node in turn is cut off while clients write and read; something must be held back.

    A node that only answers others has nothing to send while it does not hear them.
    """
    what = CUT
    if (skipped := bench.skipped(what, ONE_SYSTEM)) is not None:
        return skipped
    silent: list[str] = []
    directions: set[int] = set()
    for node in bench.nodes:
        links = [link for link in bench.network.links if node in link]
        before = {link: counters.cut for link, counters in bench.network.counters().items()}
        bench.network.set_rules(dict.fromkeys(links, LinkRule(cut=True)))
        held = await eventually(partial(_held, bench, node, before), CUT_S)
        silent += [] if held else [node]
        directions |= held or set()
        bench.network.set_rules({})
    if len(silent) == len(bench.nodes):
        advice = (
            "nothing passes through the harness's links: `links` must name the port for peers, and {peers} must be "
            "where the nodes really connect"
        )
        return Finding(what, "wrong", "nothing was held back between any nodes", advice)
    served = await _serves(bench)
    if served is not None:
        advice = "the links must carry traffic again"
        raise CannotGoOnError(Finding(what, "wrong", f"after the cut was healed: {served}", advice))
    both = "both directions" if len(directions) == 2 else "one direction, since nobody is asked in the other one"
    return Finding(
        what, "ok", f"held back in {both}" + (f"; {', '.join(silent)} sent or got nothing" if silent else "")
    )


async def _held(bench: Bench, node: str, before: Mapping[Link, int]) -> set[int] | None:
    """Makes traffic. Returns the directions in which more than `before` was held back: from the node (0) and to it (1);
    None if there is neither."""
    await _traffic(bench)
    held = [link for link, counters in bench.network.counters().items() if counters.cut > before[link]]
    return {link.index(node) for link in held if node in link} or None


OF_LINKS: dict[Ability, tuple[LinkRule, str]] = {
    "delay": (LinkRule(delay_min_us=20_000, delay_max_us=20_000), "delayed"),
    "loss": (LinkRule(loss=0.5), "lost"),
    "duplicate": (LinkRule(duplicate=0.5), "duplicated"),
    "reorder": (LinkRule(reorder=0.5), "reordered"),
    "clog": (LinkRule(clogged=True), "clogged"),
    "throttle": (LinkRule(bytes_per_s=2_000), "throttled"),
    "corrupt": (LinkRule(corrupt=0.2), "refused"),
}
"""What is done to all links for an ability, and the counter that shows it."""


async def _of_links(bench: Bench, ability: Ability) -> Finding:
    """All links suffer it while there is traffic. It must have its effect, and afterwards operations must be served."""
    if (skipped := bench.skipped(ability, ONE_SYSTEM, CUT)) is not None:
        return skipped
    over = asyncio.Event()
    traffic = asyncio.create_task(_traffic_until(bench, over))
    try:
        if ability == "reset":
            effect = await eventually(partial(_broken, bench), EFFECT_S)
            told = f"{effect} {'connection' if effect == 1 else 'connections'} broken"
        else:
            rule, counter = OF_LINKS[ability]
            before = _counted(bench, counter)
            bench.network.set_rules(dict.fromkeys(bench.network.links, rule))
            effect = await eventually(partial(_grown, bench, counter, before), EFFECT_S)
            told = f"{effect} {TRAFFIC[bench.target.network].unit} {counter}"
    finally:
        bench.network.set_rules({})
        over.set()
        await traffic
    if effect is None and ability == "reset":
        return Finding(
            ability, "missing", f"no connection between nodes was open when it was tried for {EFFECT_S:.0f} s"
        )
    if effect is None:
        advice = "do the nodes send to each other through the harness's links? see the line on cuts"
        return Finding(ability, "wrong", f"it had no effect on any link in {EFFECT_S:.0f} s of traffic", advice)
    served = await _serves(bench)
    if served is not None:
        raise CannotGoOnError(Finding(ability, "wrong", f"{told}, but then {served}"))
    return Finding(ability, "ok", told)


async def _traffic(bench: Bench) -> None:
    """Makes every node send something to others, if anything does: a write, and a question to each."""
    await bench.write()
    for node in bench.nodes:
        await bench.visit(node)


async def _traffic_until(bench: Bench, over: asyncio.Event) -> None:
    """No operation is given up: its client could not go on, and its history would not be judged."""
    while not over.is_set():
        await _traffic(bench)
        await asyncio.sleep(POLL_S)


def _counted(bench: Bench, counter: str) -> int:
    return sum(getattr(counters, counter) for counters in bench.network.counters().values())


async def _grown(bench: Bench, counter: str, before: int) -> int | None:
    return _counted(bench, counter) - before or None


async def _broken(bench: Bench) -> int | None:
    return bench.network.reset(list(bench.network.links)) or None


async def _pause(bench: Bench) -> Finding:
    what = "pause (SIGSTOP)"
    node = bench.nodes[0]
    await bench.cluster.pause(node)
    stopped = bench.cluster.state(node) == "paused"
    await bench.cluster.resume(node)
    if not stopped:
        return Finding(what, "wrong", f"{node} was not seen stopped", "a node must be one process group")
    served = await _serves(bench)
    if served is not None:
        raise CannotGoOnError(Finding(what, "wrong", f"{node} stopped and went on, but then {served}"))
    return Finding(what, "ok", f"{node} stopped and went on")


async def _stop(bench: Bench) -> Finding:
    """Each node in turn is asked to end, and must do so by itself, with a clean exit code, and start again."""
    what = "stop and restart"
    if (skipped := bench.skipped(what, *READING, ONE_SYSTEM)) is not None:
        return skipped
    told = ""
    for node in bench.nodes:
        began = time.monotonic()
        end = await bench.cluster.stop(node)
        if end is None or not end.in_order:
            await bench.cluster.kill([node])
            seen = f"{node} {end.how if end is not None else 'did not run'}"
            advice = (
                "say with which signal, how soon, and with which exit codes a node ends: a negative one is a signal"
            )
            return Finding(what, "wrong", seen, advice)
        told = f"{node} ended {time.monotonic() - began:.1f} s after it was asked to"
        if not await bench.cluster.start(node):
            return Finding(what, "wrong", f"{node} did not start again", "a node must start with its old data")
    served = await _serves(bench)
    if served is not None:
        raise CannotGoOnError(Finding(what, "wrong", f"all nodes stopped and started, one by one, but then {served}"))
    return Finding(what, "ok", f"all nodes stopped and started, one by one; {told}")


async def _kill(bench: Bench, early: Op) -> Finding:
    """All nodes are killed at once: what was acknowledged must be there when they are back, old and new.

    A node that writes its state to a file now and then, and shortens its log, has time and writes enough to do so after
    the early write: what is missing in that file is lost only then.
    """
    what = KILL
    if (skipped := bench.skipped(what, *READING, ONE_SYSTEM)) is not None:
        return skipped
    deadline = time.monotonic() + MANY_S
    for _ in range(MANY):
        if time.monotonic() < deadline:
            await bench.write()
    for op in (early, await _keep(bench, "new")):
        if op.type != "ok":
            return Finding(what, "wrong", f"a {op.f} before it ended as {op.type}: {op.error}")
    killed = await bench.cluster.kill(bench.nodes)
    up = await asyncio.gather(*(bench.cluster.start(node) for node in bench.nodes))
    if not all(up):
        down = [node for node, there in zip(bench.nodes, up, strict=True) if not there]
        return Finding(what, "wrong", f"{', '.join(down)} did not start again", "a node must start with its old data")
    if early.f == "enqueue":
        return await _kept_in_queue(bench, what)
    for age, advice in KEPT.items():
        try:
            found = await bench.read(f"check/kept/{age}", PATIENCE_S)
        except TimeoutError as error:
            return Finding(what, "wrong", f"no answer in {PATIENCE_S:.0f} s after all nodes were killed: {error}")
        expected = age if early.f == "put" else [age]
        if found != expected:
            seen = f"after all nodes were killed{_lost(bench, killed)} the {age} key was {found!r}, not {expected!r}"
            return Finding(what, "wrong", seen, advice if "lossy_disk" not in bench.can else NOT_SYNCED)
    told = f"all nodes were killed at once{_lost(bench, killed)}, and written keys were there again, old and new"
    return Finding(what, "ok", told)


def _lost(bench: Bench, killed: list[str]) -> str:
    losses = [lost for node in killed if (lost := bench.cluster.lost(node)) is not None]
    if not losses:
        return ""
    return f" and lost {sum(lost.written for lost in losses)} unsynced bytes"


async def _keep(bench: Bench, age: str) -> Op:
    """Writes something that must outlive the kill of all nodes."""
    return await bench.write(age, f"check/kept/{age}")


async def _kept_in_queue(bench: Bench, what: str) -> Finding:
    if (served := await _serves(bench)) is not None:
        return Finding(what, "wrong", f"after all nodes were killed, {served}")
    came_out, last = await emptied(bench)
    for age, advice in KEPT.items():
        if age not in came_out:
            seen = f"after all nodes were killed the {age} element did not come out; in the end {last}"
            return Finding(what, "wrong", seen, advice)
    return Finding(what, "ok", "all nodes were killed at once, and elements came out afterwards, old and new")


async def _serves(bench: Bench) -> str | None:
    """None once an operation is served again; else what the last one said."""

    async def served() -> bool | None:
        return True if (await bench.write()).type == "ok" else None

    return None if await eventually(served) else f"no operation was served for {PATIENCE_S:.0f} s"
