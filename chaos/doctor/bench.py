"""A small cluster of a target, without a schedule: nodes, the network between them, and one client at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from raft_chaos.chaos.doctor.finding import Finding
from raft_chaos.chaos.faults.abilities import Abilities
from raft_chaos.chaos.processes.supervisor import Supervisor, temporary_folder
from raft_chaos.chaos.run.client_records import History
from raft_chaos.chaos.run.clients import Client
from raft_chaos.chaos.run.live.cluster import LiveCluster
from raft_chaos.chaos.run.live.log_reader import Claim, LogReader
from raft_chaos.chaos.run.live.network import choose as network
from raft_chaos.chaos.run.live.network.backend import Network
from raft_chaos.chaos.run.live.tasks import LiveTasks
from raft_chaos.chaos.run.live.watcher import Watcher
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets.addresses import claimed
from raft_chaos.chaos.targets.door import Door, Hears
from raft_chaos.chaos.targets.http import HttpSession
from raft_chaos.chaos.targets.log_lines import log_lines_of
from raft_chaos.chaos.targets.protocol import Status, Target, abilities_of
from raft_chaos.invariants.events import HarnessEvent
from raft_chaos.invariants.history import Op, OpFunction, Value
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.server.host import monotonic_us

SEED = 1
QUEUE = "check"


@dataclass
class Bench:
    """The cluster, and what its one client has seen so far (`history`).

    `logs` reads who became leader in the nodes' logs, where the target says how: `claims`, and `lost` if not all could
    be read.
    """

    target: Target
    cluster: LiveCluster
    network: Network
    nodes: Sequence[str]
    session: HttpSession
    client: Client
    history: list[Op]
    logs: LogReader
    claims: list[Claim]
    lost: list[str]
    door: Door
    wrong: list[str] = field(default_factory=list)
    """What was found wrong so far."""
    _numbers: count[int] = field(default_factory=count)

    @property
    def can(self) -> Abilities:
        return abilities_of(self.target)

    def skipped(self, what: str, *rests_on: str) -> Finding | None:
        """The finding of a check that is left out, since the first of these is wrong; None if none is."""
        cause = next((one for one in self.wrong if one in rests_on), None)
        return Finding(what, "skipped", f"it rests on {cause!r}, which is wrong") if cause is not None else None

    def heard(self) -> str:
        """The last answer as it came; "" for a target that cannot show it."""
        return self.door.heard if isinstance(self.door, Hears) else ""

    async def perform(
        self, f: OpFunction, key: str, value: str | None = None, expected: str | None = None, node: str | None = None
    ) -> Op:
        """Carries out one operation; returns how it ended."""
        operation = Operation(
            id=f"check/{next(self._numbers)}",
            client="check",
            at_us=0,
            f=f,
            key=key,
            value=value,
            expected=expected,
            node=node,
        )
        await self.client.perform(operation)
        return self.history[-1]

    async def write(self, value: str = "more", key: str = "check/traffic") -> Op:
        """Writes something, in whichever way the target has."""
        if "put" in self.can or "append" in self.can:
            return await self.perform("put" if "put" in self.can else "append", key, value)
        return await self.perform("enqueue", QUEUE, value)

    async def visit(self, node: str) -> None:
        """Asks this node for something, so that it may have to ask others."""
        if "get" in self.can:
            await self.perform("get", "check/traffic", node=node)
        else:
            self.client.asks_next(node)
            await self.write()

    async def statuses(self) -> dict[str, Status | None]:
        """What each running node says of itself."""
        urls = {node: self.cluster.url(node) for node in self.nodes if self.cluster.state(node) == "up"}
        asked = {node: url for node, url in urls.items() if url is not None}
        said = await asyncio.gather(*(self.target.status(self.session, url) for url in asked.values()))
        return dict(zip(asked, said, strict=True))

    async def read(self, key: str, patience_s: float) -> Value | None:
        """The value of the key, read again and again until some node answers. Raises TimeoutError."""
        deadline = time.monotonic() + patience_s
        while (op := await self.perform("get", key)).type != "ok":
            if time.monotonic() >= deadline:
                raise TimeoutError(op.error or "no answer")
        return op.value


@asynccontextmanager
async def bench(target: Target, size: int) -> AsyncIterator[Bench]:
    """A cluster of `size` nodes, none of which is started yet. In the end nothing of it is left."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        supervisor = stack.enter_context(Supervisor())
        from raft_chaos.chaos.targets.session import session_of_clients  # while the fork server imports the nodes

        nodes = [f"n{number}" for number in range(1, size + 1)]
        run = RunDir(folder)
        for node in nodes:
            run.node(node).mkdir(parents=True)
        links = network.start(target.network, supervisor, nodes, SEED, folder / "proxy.log")
        ports = stack.enter_context(claimed(nodes, target.ports)) if target.ports else {}
        epoch_us = monotonic_us()
        events: list[HarnessEvent] = []
        history: list[Op] = []

        def now_us() -> int:
            return monotonic_us() - epoch_us

        claims: list[Claim] = []
        lost: list[str] = []
        lines = log_lines_of(target)
        logs = LogReader(
            lines=lines,
            folders={node: run.node(node) for node in nodes},
            named=[line.nodes_by_name(nodes, ports, links.hosts) for line in lines],
            claimed=claims.append,
            lost=lost.append,
        )
        stack.callback(logs.close)
        cluster = LiveCluster(
            supervisor=supervisor,
            target=target,
            network=links,
            watcher=Watcher(nodes, lambda event: None, lambda *anchor: None),
            run=run,
            nodes=nodes,
            seed=SEED,
            epoch_us=epoch_us,
            now_us=now_us,
            report=events.append,
            ports=ports,
            logs=logs,
        )
        async with (
            session_of_clients() as session,
            asyncio.TaskGroup() as group,
        ):
            door = target.door(session, lambda: {node: url for node in nodes if (url := cluster.url(node))})
            client = Client(
                name="check",
                place=0,
                clients=1,
                door=door,
                history=History(history.append),
                tasks=LiveTasks(group, now_us),
                now_us=now_us,
            )
            yield Bench(target, cluster, links, nodes, session, client, history, logs, claims, lost, door)
            await target.close()
