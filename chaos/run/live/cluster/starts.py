"""The next incarnation of a node: what it needs is made, and it counts as up once it answers."""

from __future__ import annotations

import asyncio
import signal
import socket

import msgspec

from raft_chaos.chaos.faults.crash_loop import Struck
from raft_chaos.chaos.processes.shortage import SetupError
from raft_chaos.chaos.run.live.cluster.nodes import LiveNode
from raft_chaos.chaos.run.live.cluster.orders import Orders
from raft_chaos.chaos.run.live.enter import in_turn
from raft_chaos.chaos.targets.addresses import HOST
from raft_chaos.chaos.targets.protocol import EndedError, Launch, Peer, Running, TargetError, tail
from raft_chaos.invariants.events import NodeKilled, NodeLaunched

START_POLL_S = 0.001


class NeverCameUpError(SetupError):
    """A node of the target did not come up before anything was done to it: that convicts nobody."""


class Starts(Orders):
    """Starts nodes, one incarnation after the other."""

    def began(self) -> None:
        """All nodes have been started once. One that does not come up from now on is to blame for it."""
        self._begun = True

    async def start(self, node: str) -> bool:
        """Starts the next incarnation of a node that is down; returns whether it answers now."""
        one = self._nodes[node]
        async with one.lock:
            if one.state != "down":
                return one.state == "up"
            launch = await self._next(one)
            try:
                one.running = await asyncio.to_thread(self.target.start, self._supervisor, launch)
            except TargetError as error:
                if self._supervisor.is_closed:
                    return False  # the end of the run killed it, which says nothing about the node
                self._check_disk(one)
                if not self._begun:
                    raise NeverCameUpError(f"the target did not start: {error}") from None
                code, said = (error.exit_code, error.said) if isinstance(error, EndedError) else (1, str(error))
                self._exited(one, code, said)
                return False
            if not one.running.is_ready and not self._begun:
                said = tail(self._run.node(node) / "stderr.log")
                raise NeverCameUpError(
                    f"the target did not start: {node} runs, but has not answered for {one.running.within_s:.0f} s"
                    + (f"; it said: {said}" if said else "")
                )
            one.state = "up"
            self._report(self._event(NodeLaunched, one))
            await self._tell_disk(one)
            return self.state(node) == "up"

    async def start_and_kill(self, node: str, after_s: float) -> Struck | None:
        """Starts a node that is down, and kills it when its process has lasted this long, whether it is up or not."""
        one = self._nodes[node]
        async with one.lock:
            if one.state != "down":
                return None
            launch = await self._next(one)
            starting = asyncio.ensure_future(asyncio.to_thread(self.target.start, self._supervisor, launch))
            struck = await self._strike_start(node, starting, after_s)
            try:
                one.running = await starting
            except (TargetError, OSError) as error:
                if self._supervisor.is_closed:
                    return None  # the end of the run killed it
                code = error.exit_code if isinstance(error, EndedError) else -signal.SIGKILL
                if not struck or code != -signal.SIGKILL:
                    self._exited(one, code, str(error))
                    return None
                if (left := self._supervisor.child(node)) is not None:
                    await asyncio.to_thread(left.kill)  # it was struck before its target had it
                hit: Struck = "in its start"
            else:
                self._report(self._event(NodeLaunched, one))
                hit = "once up"
                self._network.leaving(node)
                await asyncio.to_thread(one.running.child.kill)
            self._watcher.gone(node)
            self._network.route(node, None)
            await self._lose_unsynced(one, 0)
            self._report(self._killed(one))
            return hit

    async def _strike_start(self, node: str, starting: asyncio.Future[Running], after_s: float) -> bool:
        """SIGKILL to a node that is starting, `after_s` after its process is there; whether it was sent."""
        while (child := self._supervisor.child(node)) is None and not starting.done():
            await asyncio.sleep(START_POLL_S)
        await asyncio.wait({starting}, timeout=after_s)
        if child is None or starting.done():
            return False
        self._network.leaving(node)
        child.strike()
        return True

    def _killed(self, one: LiveNode) -> NodeKilled:
        killed = self._event(NodeKilled, one)
        if one.lost is None:
            return killed
        return msgspec.structs.replace(killed, lost_bytes=one.lost.written, lost_names=one.lost.names)

    async def _lose_unsynced(self, one: LiveNode, keep_permille: int) -> None:
        """The node is gone, and so is now what a lossy disk has not synced."""
        lossy, one.lossy, one.lost = one.lossy, None, None
        if lossy is not None:
            one.lost = await asyncio.to_thread(lossy.lose, keep_permille)

    async def _next(self, one: LiveNode) -> Launch:
        """Begins the next incarnation of the node, which is yet to be started."""
        one.incarnation += 1
        if one.exit_code is not None and one.failing is not None and one.failing.once:
            one.failing = None  # it has failed once: only a failing disk ends a node by itself that may start again
        one.exit_code, one.asked, one.disk.failing = None, None, one.failing
        if "lossy_disk" in self.target.can:
            await asyncio.to_thread(self._new_disk, one)
        launch = self._launch(one)
        self._watcher.follow(one.name, self._run.node_events(one.name, one.incarnation))
        if self._logs is not None:
            self._logs.follow(one.name, one.incarnation)
        return launch

    def _launch(self, one: LiveNode) -> Launch:
        loop, node = asyncio.get_running_loop(), one.name

        def route(port: int) -> None:
            """Called in the thread that starts the node; requests to the network are made in the loop's alone."""
            asyncio.run_coroutine_threadsafe(self._route(one, port), loop).result()

        def attach(sock: socket.socket) -> Peer:
            """The same, for a node that speaks over its stdin and stdout."""
            return asyncio.run_coroutine_threadsafe(self._attach(node, sock), loop).result()

        return Launch(
            run=self._run,
            seed=self._seed,
            node=node,
            incarnation=one.incarnation,
            peers=self._network.peers_of(node, self._direct(node)),
            epoch_us=self._epoch_us,
            ports=self._ports,
            hosts=self._network.hosts,
            route=route,
            enter=in_turn(self._network.enter(node), one.lossy.enter if one.lossy is not None else None),
            attach=attach,
            doors=self._network.door,
            secret_file=self._secret_file,
            failing=one.failing,
            clock=one.clock.segment,
            features=self._features,
        )

    def _new_disk(self, one: LiveNode) -> None:
        """Called in a thread. Nobody may wait for that any more once the run is interrupted, so it notes the disk."""
        from raft_chaos.chaos.run.live.disk import disk as lossy_disk  # our own nodes have no such disk

        folder, log = self._run.node(one.name), self._run.path / "disks.log"
        one.lossy = lossy_disk.start(self._supervisor, one.name, folder, self._network.enter(one.name), log)

    async def _attach(self, node: str, sock: socket.socket) -> Peer:
        return self._network.attach(node, sock)

    async def _route(self, one: LiveNode, port: int) -> None:
        self._network.route(one.name, port)

    def _direct(self, node: str) -> dict[str, tuple[str, int]]:
        """Where the node's peers listen for each other, if the target has a port for that."""
        port = self.target.link_port
        return {peer: (HOST, ports[port]) for peer, ports in self._ports.items() if peer != node and port is not None}
