"""The nodes of a live run: which incarnation of each is up, and what the harness does to it.

The harness reports each change once it has seen it: a node is launched when it answers, killed when its process group
is gone, paused when it is in the stopped state.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import msgspec
import psutil

from raft_chaos.chaos.faults.clock import Ahead
from raft_chaos.chaos.faults.crash_loop import Struck
from raft_chaos.chaos.faults.damage import Damage
from raft_chaos.chaos.faults.stop import Stopped, stopped
from raft_chaos.chaos.processes.shortage import HarnessError, SetupError, oom_kills
from raft_chaos.chaos.processes.supervisor import Child, Supervisor
from raft_chaos.chaos.run.live.disk import disk as lossy_disk
from raft_chaos.chaos.run.live.disk.disk import Disk
from raft_chaos.chaos.run.live.disk.unsynced import Lost
from raft_chaos.chaos.run.live.enter import in_turn
from raft_chaos.chaos.run.live.log_reader import Claim, LogReader
from raft_chaos.chaos.run.live.network.backend import Network
from raft_chaos.chaos.run.live.watcher import Watcher
from raft_chaos.chaos.run.nodes.damage import damage_node
from raft_chaos.chaos.run.nodes.driver import ASKED, FAILING_DISK, DiskState, excuse
from raft_chaos.chaos.targets.addresses import HOST, Ports
from raft_chaos.chaos.targets.program import emptied
from raft_chaos.chaos.targets.protocol import (
    EndedError,
    Launch,
    Peer,
    Running,
    Stopping,
    Target,
    TargetError,
    Wiper,
    tail,
)
from raft_chaos.invariants.events import (
    HARNESS,
    HarnessEvent,
    LeaderObserved,
    NodeExited,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    NodeSampled,
)
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.server.node_clock import NodeClock
from raft_chaos.raft.storage.fault_disk import Failing

_Subject = TypeVar("_Subject", NodeLaunched, NodeKilled, NodePaused, NodeResumed)
State: TypeAlias = Literal["down", "up", "paused", "exited"]


START_POLL_S = 0.001
STOP_POLL_S = 0.005
ENDING_S = 2.0
"""How long a node whose disk has failed may take to end."""


class NeverCameUpError(SetupError):
    """A node of the target did not come up before anything was done to it: that convicts nobody."""


@dataclass
class _Node:
    """One node; `exited` means that it ended by itself, and is not started again. One whose disk failed may be."""

    name: str
    state: State = "down"
    incarnation: int = 0
    running: Running | None = None
    lossy: Disk | None = None  # of this incarnation, if the harness serves its data
    lost: Lost | None = None  # at its last kill
    slow_sync_us: tuple[int, int] = (0, 0)
    slowed_syncs: int = 0
    failing: Failing | None = None  # what its disk is to fail at
    disk: DiskState = field(default_factory=DiskState)  # what was done to it, as far as the node knows
    clock: NodeClock = field(default_factory=NodeClock)  # of its machine: it outlives restarts
    exit_code: int | None = None  # of its last incarnation, if that ended by itself
    pausing: bool = False  # it is about to be seen paused
    asked: Stopping | None = None  # how it was asked to end, if it was
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class LiveCluster:
    """Real processes, started, killed, paused and resumed. Signals go only to process groups that were started here."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        target: Target,
        network: Network,
        watcher: Watcher,
        run: RunDir,
        nodes: list[str],
        seed: int,
        epoch_us: int,
        now_us: Callable[[], int],
        report: Callable[[HarnessEvent], None],
        ports: Ports | None = None,
        secret_file: Path | None = None,
        logs: LogReader | None = None,
    ) -> None:
        self.target = target
        self._supervisor = supervisor
        self._network = network
        self._watcher = watcher
        self._run = run
        self._seed = seed
        self._epoch_us = epoch_us
        self._now_us = now_us
        self._report = report
        self._ports = ports or {}
        self._secret_file = secret_file
        self._logs = logs
        self._begun = False
        self._nodes = {name: _Node(name) for name in nodes}
        self._oom_kills = oom_kills()

    # ---- state ----------------------------------------------------------------------------------------------------

    def state(self, node: str) -> State:
        return self._nodes[node].state

    def incarnation(self, node: str) -> int:
        return self._nodes[node].incarnation

    def exit_code(self, node: str) -> int | None:
        """The exit code of its last incarnation; None if that did not end by itself, or was asked to."""
        return self._nodes[node].exit_code

    def url(self, node: str) -> str | None:
        """Where clients reach the node, or reached it last; None before its first start."""
        running = self._nodes[node].running
        return running.http_url if running else None

    # ---- inspection: the state of a node, beside what it reports -----------------------------------------------------

    def child(self, node: str) -> Child | None:
        """The process of its last incarnation; None before its first start."""
        running = self._nodes[node].running
        return running.child if running else None

    def slow_sync_us(self, node: str) -> tuple[int, int]:
        """The slowdown of its syncs (least, most); 0, 0: none."""
        return self._nodes[node].slow_sync_us

    # ---- actions --------------------------------------------------------------------------------------------------
    #
    # A method that changes a node's state holds its lock, and checks the state again after each await: a node that ends
    # by itself changes without the lock.

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

    async def _next(self, one: _Node) -> Launch:
        """Begins the next incarnation of the node, which is yet to be started."""
        one.incarnation += 1
        one.exit_code, one.asked, one.disk.failing = None, None, one.failing
        if "lossy_disk" in self.target.can:
            one.lossy = await asyncio.to_thread(self._new_disk, one.name)
        launch = self._launch(one)
        self._watcher.follow(one.name, self._run.node_events(one.name, one.incarnation))
        if self._logs is not None:
            self._logs.follow(one.name, one.incarnation)
        return launch

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
        child.strike()
        return True

    def began(self) -> None:
        """All nodes have been started once. One that does not come up from now on is to blame for it."""
        self._begun = True

    def _launch(self, one: _Node) -> Launch:
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
        )

    def _new_disk(self, node: str) -> Disk:
        log = self._run.path / "disks.log"
        return lossy_disk.start(self._supervisor, node, self._run.node(node), self._network.enter(node), log)

    async def _attach(self, node: str, sock: socket.socket) -> Peer:
        return self._network.attach(node, sock)

    async def _route(self, one: _Node, port: int) -> None:
        self._network.route(one.name, port)

    def _direct(self, node: str) -> dict[str, tuple[str, int]]:
        """Where the node's peers listen for each other, if the target has a port for that."""
        port = self.target.link_port
        return {peer: (HOST, ports[port]) for peer, ports in self._ports.items() if peer != node and port is not None}

    async def kill(self, nodes: Sequence[str], keep_permille: Mapping[str, int] | None = None) -> list[str]:
        """SIGKILL to all of them at once; returns those that were running, once they are gone.

        What a lossy disk had not synced is lost, but for the first `keep_permille` thousandths of it. A node that is
        still starting is not hit: it does not run yet.
        """
        running = sorted(node for node in nodes if self.state(node) in ("up", "paused"))
        async with AsyncExitStack() as locks:
            for node in running:  # in one order, so that two kills do not wait for each other
                await locks.enter_async_context(self._nodes[node].lock)
            self.find_exits()  # a node that has just ended by itself must not count as killed
            hit = [self._nodes[node] for node in nodes if node in running and self.state(node) in ("up", "paused")]
            for one in hit:
                one.state = "down"
                self._watcher.gone(one.name)  # at once: nobody may take it for the leader while it dies
                self._child(one).strike()
            for one in hit:
                await asyncio.to_thread(self._child(one).kill)
                self._network.route(one.name, None)
            keep = keep_permille or {}
            await asyncio.gather(*(self._lose_unsynced(one, keep.get(one.name, 0)) for one in hit))
            for one in hit:
                self._report(self._killed(one))
        return [one.name for one in hit]

    async def _lose_unsynced(self, one: _Node, keep_permille: int) -> None:
        """The node is gone, and so is now what a lossy disk has not synced."""
        lossy, one.lossy, one.lost = one.lossy, None, None
        if lossy is not None:
            one.lost = await asyncio.to_thread(lossy.lose, keep_permille)

    def _killed(self, one: _Node) -> NodeKilled:
        killed = self._event(NodeKilled, one)
        if one.lost is None:
            return killed
        return msgspec.structs.replace(killed, lost_bytes=one.lost.written, lost_names=one.lost.names)

    def lost(self, node: str) -> Lost | None:
        """What the node's disk lost at its last kill; None if it has no such disk."""
        return self._nodes[node].lost

    async def stop(self, node: str) -> Stopped | None:
        """Asks the node to end by itself, and waits for that as long as its target says; None if it does not run."""
        one = self._nodes[node]
        if one.state not in ("up", "paused") or one.running is None:
            return None
        incarnation, stopping = one.incarnation, one.running.stopping
        one.asked = stopping
        one.running.child.ask(signal.Signals[stopping.signal])
        deadline = time.monotonic() + stopping.within_s
        # Without the lock: another fault may kill the node meanwhile, or resume it.
        while self._is_running(one, incarnation) and time.monotonic() < deadline:
            await asyncio.sleep(STOP_POLL_S)
            self.find_exits()
        in_time = not self._is_running(one, incarnation)
        return stopped(in_time, one.exit_code, round(stopping.within_s * 1e6))

    def _is_running(self, one: _Node, incarnation: int) -> bool:
        return one.incarnation == incarnation and one.state in ("up", "paused")

    async def wipe(self, node: str) -> int:
        """Removes all data of a node that is down; returns how many files that were."""
        one = self._nodes[node]
        async with one.lock:
            if one.state != "down":
                return 0
            files = await asyncio.to_thread(emptied, self._run.node(node) / "data")
            if isinstance(self.target, Wiper):
                await asyncio.to_thread(self.target.wipe, node)
        return files

    async def pause(self, node: str) -> None:
        """SIGSTOP, if the node runs; returns once it is stopped, or has ended by itself."""
        one = self._nodes[node]
        if one.state not in ("up", "paused"):
            return  # a node that is still starting does not run yet; do not wait for it
        async with one.lock:
            if self.state(node) != "up":
                return
            child = self._child(one)
            one.pausing = True  # from now on no slice of time continues it
            try:
                await asyncio.to_thread(child.pause)
            finally:
                one.pausing = False
            if self.state(node) == "up" and child.is_alive:
                one.state = "paused"
                self._report(self._event(NodePaused, one))

    async def resume(self, node: str) -> None:
        """SIGCONT, if the node is paused."""
        one = self._nodes[node]
        async with one.lock:
            if one.state != "paused":
                return
            self._child(one).resume()
            one.state = "up"
            self._report(self._event(NodeResumed, one))
            await self._tell_disk(one)  # while it was paused it could not receive a change
            if one.disk.failing != one.failing:
                await self._tell_failing(one)
            await self._tell_clock(one)
        if self.state(node) == "down" and one.exit_code is not None and one.failing is None:
            await self.start(node)  # its disk failed after the pause, and the fault that would start it is over

    def hold_back(self, node: str) -> Child | None:
        """SIGSTOP for a slice of time, if the node is up: unlike a pause, that does not change its state."""
        one = self._nodes[node]
        if one.state != "up" or one.running is None:
            return None
        one.running.child.ask(signal.SIGSTOP)
        return one.running.child

    def let_run(self, node: str, child: Child) -> bool:
        """SIGCONT after the slice, unless the node is paused, too; returns whether it was seen stopped."""
        one = self._nodes[node]
        was_stopped = child.is_stopped
        if one.state != "paused" and not one.pausing:
            child.resume()
        return was_stopped

    async def slow_sync(self, node: str, longer: tuple[int, int]) -> None:
        """Syncs of the node take `longer` (least, most: µs) more from now on, also after restarts."""
        one = self._nodes[node]
        one.slow_sync_us = longer
        async with one.lock:
            await self._tell_disk(one)

    async def slowed_syncs(self, node: str) -> int:
        """How many of its syncs were slowed since the run began, as far as it could report them."""
        one = self._nodes[node]
        async with one.lock:
            await self._tell_disk(one)
        return one.slowed_syncs

    async def break_disk(self, node: str, failing: Failing | None) -> int | None:
        """The node's disk fails at this from now on, also after restarts; at nothing with None. Returns how often it
        has failed in this incarnation, if the node runs and says so."""
        one = self._nodes[node]
        one.failing = failing
        async with one.lock:
            return await self._tell_failing(one)

    async def change_clock(self, node: str, rate_ppm: int, jump_us: int) -> Ahead | None:
        """The node's clock jumps, and gains `rate_ppm` from now on, also after restarts. Returns what that changed, if
        the node runs and says so."""
        one = self._nodes[node]
        one.clock.change(self._now_us(), rate_ppm, jump_us)
        async with one.lock:
            return await self._tell_clock(one)

    async def damage(self, node: str, damage: Damage) -> str:
        """Damages the data of a node that is down; returns what that did, "" if it did nothing."""
        one = self._nodes[node]
        async with one.lock:
            if one.state != "down":
                return ""
            did = await asyncio.to_thread(damage_node, self._run, node, damage)
            one.disk.damaged |= bool(did)
        return did

    async def _tell_failing(self, one: _Node) -> int | None:
        """Tells a node that is up what its disk fails at, and waits for its end if its disk has failed.

        What ended it counts as long as the node may not know that its disk works again: it is told when it resumes.
        """
        one.disk.failing = one.failing or one.disk.failing
        if one.state != "up" or one.running is None:
            return None
        failed = await asyncio.to_thread(one.running.break_disk, one.failing)
        if failed != 0:
            await asyncio.to_thread(one.running.child.ends_within, ENDING_S)
        self.find_exits()
        one.disk.failing = one.failing
        return failed

    async def _tell_clock(self, one: _Node) -> Ahead | None:
        """Tells a node that is up what its clock shows."""
        if one.state != "up" or one.running is None:
            return None
        return await asyncio.to_thread(one.running.set_clock, one.clock.segment)

    async def _tell_disk(self, one: _Node) -> None:
        """Sets the slowdown of the disk of a node that is up, and reads how many syncs it has slowed."""
        if one.state == "up" and one.running is not None:
            one.slowed_syncs += await asyncio.to_thread(one.running.slow_sync, *one.slow_sync_us)

    def _refuse_starved(self, one: _Node, exit_code: int) -> None:
        """Raises HarnessError if this machine, and not the node, is to blame for its end."""
        running = one.running
        if excuse(exit_code, one.disk.failing, damaged=one.disk.damaged):
            return
        if running is not None and exit_code == running.starved:
            lines = tail(self._run.node(one.name) / "stderr.log", lines=3).split("\n")
            said = next((line.strip() for line in reversed(lines) if line.strip()), "it did not say why")
            raise HarnessError(f"{one.name} had too little of this machine to continue: {said}")
        if exit_code == -signal.SIGKILL and oom_kills() > self._oom_kills:
            raise HarnessError(f"this machine ran out of memory, and its system killed {one.name}")

    # ---- observations ---------------------------------------------------------------------------------------------

    def check_disks(self) -> None:
        """Raises HarnessError if the data of a node is out of its reach."""
        for one in self._nodes.values():
            if one.lossy is not None and one.state in ("up", "paused") and not self._supervisor.is_closed:
                one.lossy.check()

    def find_exits(self) -> None:
        """Reports nodes that ended by themselves. Raises HarnessError for an end that is no mistake of the node."""
        self.check_disks()
        for one in self._nodes.values():
            if one.state in ("up", "paused") and (code := self._child(one).exit_code) is not None:
                self._child(one).kill()  # its group may still have processes
                self._exited(one, code, tail(self._run.node(one.name) / "stderr.log"))
                self._refuse_starved(one, code)

    def leader_observed(self, node: str, term: int) -> None:
        """Reports that the node says now that it leads."""
        inc = self._nodes[node].incarnation
        self._report(LeaderObserved(node=HARNESS, inc=1, t_us=self._now_us(), subject=node, subject_inc=inc, term=term))

    def claimed(self, claim: Claim) -> None:
        """Reports a line of a log that says who leads. Faults on "the leader" follow it, if no later term is known."""
        leads_itself = claim.leader == claim.node
        inc = claim.inc if leads_itself else self._nodes[claim.leader].incarnation
        self._report(
            LeaderObserved(
                node=HARNESS,
                inc=1,
                t_us=self._now_us(),
                subject=claim.leader,
                subject_inc=inc,
                term=claim.term,
                said=claim.said,
                file=claim.file,
                line=claim.at,
                reporter="" if leads_itself else claim.node,
            )
        )
        is_news = claim.term >= self._watcher.nodes[claim.leader].term
        is_here = inc == self._nodes[claim.leader].incarnation
        if is_news and is_here and (leads_itself or claim.term not in self._watcher.view.leaders):
            self._watcher.status(claim.leader, "leader", claim.term)

    def sample(self) -> None:
        """Reports what each running node uses of the machine."""
        for one in self._nodes.values():
            if one.state != "up":
                continue
            info = self._child(one).info
            try:
                with info.oneshot():
                    event = NodeSampled(
                        node=HARNESS,
                        inc=1,
                        t_us=self._now_us(),
                        subject=one.name,
                        subject_inc=one.incarnation,
                        cpu_percent=info.cpu_percent(),
                        rss_bytes=info.memory_info().rss,
                        open_files=info.num_fds(),
                        threads=info.num_threads(),
                    )
            except psutil.Error:
                continue  # it has just ended; `find_exits` reports that
            self._report(event)

    def _exited(self, one: _Node, exit_code: int, log_tail: str) -> None:
        excused = excuse(exit_code, one.disk.failing, damaged=one.disk.damaged)
        if not excused and one.asked is not None and exit_code in one.asked.exit_codes:
            excused = ASKED
        one.state = "down" if excused in (FAILING_DISK, ASKED) else "exited"
        one.exit_code = exit_code if excused != ASKED else None
        self._end_disk(one)
        self._watcher.gone(one.name)
        self._report(
            NodeExited(
                node=HARNESS,
                inc=1,
                t_us=self._now_us(),
                subject=one.name,
                subject_inc=one.incarnation,
                exit_code=exit_code,
                log_tail=log_tail,
                excused=excused,
            )
        )

    def _end_disk(self, one: _Node) -> None:
        """A process that ends by itself loses nothing: the power is still there."""
        if one.lossy is not None:
            one.lossy.end()
            one.lossy = None

    def close(self) -> None:
        """All processes have been ended: nothing that disks needed is left."""
        for one in self._nodes.values():
            self._end_disk(one)

    def _child(self, one: _Node) -> Child:
        assert one.running is not None
        return one.running.child

    def _event(self, kind: type[_Subject], one: _Node) -> _Subject:
        return kind(node=HARNESS, inc=1, t_us=self._now_us(), subject=one.name, subject_inc=one.incarnation)
