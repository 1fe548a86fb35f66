"""The nodes in virtual time: which incarnation of each is up, which inputs it gets, and what happens to its outputs.

A driver starts incarnations and carries out their steps: in this process (`MemoryDriver`), or in a real one
(`chaos.run.lockstep`). Everything else happens here and is the same for both, so both make the same trace.

A paused node gets no inputs: they wait in their order of arrival, and the node gets them all when it resumes. So do
those of a node that waits for the processor. A frame
to a node that is down is lost. A node that dies of an error of its own is reported, and stays down; one whose disk
failed may start again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias

from raft_chaos.chaos.faults.clock import Ahead
from raft_chaos.chaos.faults.damage import Damage
from raft_chaos.chaos.faults.process import Failpoint
from raft_chaos.chaos.faults.starve import CpuShare, Waits
from raft_chaos.chaos.run.cluster_view import ClusterView
from raft_chaos.chaos.run.nodes.driver import ASKED, DiskState, DrivenNode, Driver, DriverError, end_of
from raft_chaos.chaos.run.nodes.interrupted_disk import InterruptedNodeError
from raft_chaos.chaos.run.nodes.step import StepConfig, StepReport
from raft_chaos.chaos.run.sim.draws import Draws
from raft_chaos.chaos.run.sim.frame import Frame
from raft_chaos.chaos.run.sim.network import SimNetwork
from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.run.sim.trace import Trace
from raft_chaos.chaos.schedule.data import SimModel
from raft_chaos.invariants.events import HARNESS, NodeExited, NodeKilled, NodeLaunched, NodePaused, NodeResumed
from raft_chaos.raft.replica.command import Read
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.server.node_clock import NodeClock
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.failing import Failing

State: TypeAlias = Literal["down", "up", "paused", "exited"]


NEVER_WAITED = Waits(0, 0, 0)


@dataclass
class _Node:
    name: str
    peers: list[str]
    write_draws: Draws
    state: State = "down"
    incarnation: int = 0
    driven: DrivenNode | None = None
    clock: NodeClock = field(default_factory=NodeClock)
    deadline_us: int = 0
    timer_at_us: int | None = None
    slow_sync_us: tuple[int, int] = (0, 0)
    slowed_syncs: int = 0
    writes: int = 0
    waiting: list[Callable[[], None]] = field(default_factory=list)  # inputs that came while it was paused, or waited
    share: CpuShare | None = None  # of the processor; None: all of it
    shares: int = 0  # how often its share has changed: what was planned for an earlier one is void
    waits: bool = False  # for the processor
    waits_since_us: int = 0
    waited: Waits = NEVER_WAITED
    armed: tuple[Failpoint, Callable[[], None]] | None = None
    asked: Callable[[], None] | None = None  # it is to stop when it resumes; called when it has ended by itself
    disk: DiskState = field(default_factory=DiskState)
    exit_code: int | None = None  # of its last incarnation, if that ended by itself

    @property
    def acts(self) -> bool:
        """Whether it takes inputs."""
        return self.state == "up" and not self.waits


class VirtualCluster:
    """All nodes of a run. Calls `answer(node, reply)` for each client's answer, `broke(node)` when a node goes down."""

    def __init__(
        self,
        *,
        nodes: list[str],
        seed: int,
        timing: Timing,
        model: SimModel,
        driver: Driver,
        scheduler: Scheduler,
        trace: Trace,
        view: ClusterView,
        answer: Callable[[str, Reply], None],
        broke: Callable[[str], None],
    ) -> None:
        self.network = SimNetwork(nodes, seed, model, scheduler, self._deliver)
        self.lost_to_the_dead = 0  # frames
        self.stale = 0  # frames of an earlier term than their receiver's
        self.lost_writes = 0  # crashes that lost unsynced bytes
        self.torn_writes = 0  # crashes that left a part of a record behind
        self._nodes = {
            name: _Node(name, [peer for peer in nodes if peer != name], Draws(seed, f"disk/{name}", 2))
            for name in nodes
        }
        self._seed = seed
        self._timing = timing
        self._model = model
        self._driver = driver
        self._scheduler = scheduler
        self._trace = trace
        self._view = view
        self._answer = answer
        self._broke = broke

    # ---- state ----------------------------------------------------------------------------------------------------

    def state(self, node: str) -> State:
        return self._nodes[node].state

    def incarnation(self, node: str) -> int:
        return self._nodes[node].incarnation

    def syncs(self, node: str) -> tuple[int, int]:
        """How many writes the node began, in all its incarnations, and how many of their syncs were slowed."""
        return self._nodes[node].writes, self._nodes[node].slowed_syncs

    def exit_code(self, node: str) -> int | None:
        """The exit code of its last incarnation; None if that did not end by itself, or was asked to."""
        return self._nodes[node].exit_code

    # ---- inspection: the state of a node, beside what it reports -----------------------------------------------------

    def deadline_us(self, node: str) -> int:
        """When the timer of the node is due, according to its last step."""
        return self._nodes[node].deadline_us

    def slow_sync_us(self, node: str) -> tuple[int, int]:
        """The slowdown of its syncs (least, most); 0, 0: none."""
        return self._nodes[node].slow_sync_us

    def rate_ppm(self, node: str) -> int:
        """By how many millionths its clock runs fast; negative: slow."""
        return self._nodes[node].clock.segment[2]

    # ---- actions --------------------------------------------------------------------------------------------------

    def start(self, name: str, dies_after: int | None = None) -> bool:
        """Starts the next incarnation of a node that is down; returns whether it is up now. It is killed after so many
        operations of its recovery, if `dies_after` is given and it has more."""
        node = self._nodes[name]
        if node.state != "down":
            return node.state == "up"
        node.incarnation += 1
        node.exit_code = None
        config = StepConfig.of(
            name,
            list(self._nodes),
            node.incarnation,
            seed=self._seed,
            timing=self._timing,
            clock=node.clock.segment,
            failing=node.disk.failing,
            dies_after=dies_after,
        )
        self._view.up(name)
        try:
            node.driven = self._driver.start(config, self._scheduler.now_us)
        except DriverError:
            raise
        except InterruptedNodeError:
            self._down(node)
            self._trace.harness(NodeKilled(**self._subject(node)))
            return False
        except Exception as error:
            self._died(node, error)
            return False
        node.state = "up"
        self._trace.harness(NodeLaunched(**self._subject(node)))
        self._took(node, node.driven.first)
        return True

    def kill(self, name: str, keep_permille: int, holes: int = 0) -> bool:
        """The power of the node fails now; returns whether the node was running."""
        node = self._nodes[name]
        if node.state not in ("up", "paused"):
            return False
        assert node.driven is not None
        kept, lost = node.driven.crash(keep_permille, holes=holes)
        self.lost_writes += lost > 0
        self.torn_writes += kept > 0 and (lost > 0 or holes > 0)
        self._down(node)
        self._trace.harness(NodeKilled(**self._subject(node)))
        self._broke(name)
        return True

    def arm(self, name: str, failpoint: Failpoint, reached: Callable[[], None]) -> bool:
        """From now on each step of the node stops at `failpoint` if it gets there; `reached` must then kill it."""
        node = self._nodes[name]
        if node.state not in ("up", "paused"):
            return False
        node.armed = (failpoint, reached)
        return True

    def disarm(self, name: str) -> None:
        self._nodes[name].armed = None

    def stop(self, name: str, ended: Callable[[], None]) -> bool:
        """Asks the node to end by itself; `ended` is called once it has. Returns whether the node was running.

        It ends at once, a paused node when it resumes.
        """
        node = self._nodes[name]
        if node.state not in ("up", "paused"):
            return False
        node.asked = ended
        if node.acts:
            self._stop(node)
        return True

    def pause(self, name: str) -> bool:
        """No input reaches the node from now on; returns whether it was up."""
        node = self._nodes[name]
        if node.state != "up":
            return False
        node.state = "paused"
        self._trace.harness(NodePaused(**self._subject(node)))
        return True

    def resume(self, name: str) -> None:
        """The node resumes: it gets the waiting inputs in their order of arrival, then its timer if that is due."""
        node = self._nodes[name]
        if node.state != "paused":
            return
        node.state = "up"
        self._trace.harness(NodeResumed(**self._subject(node)))
        self._catch_up(node)

    def _catch_up(self, node: _Node) -> None:
        """Gives a node that acts again what has waited for it."""
        if not node.acts:
            return
        if node.asked is not None:
            self._stop(node)  # a signal comes before all else
            return
        waiting, node.waiting = node.waiting, []
        for give in waiting:
            give()  # it checks again whether the node is up: an earlier input may have ended the node
        if node.acts:
            self._set_timer(node)

    def starve(self, name: str, share: CpuShare | None) -> None:
        """The node has this share of the processor from now on, and first waits; all of it with None."""
        node = self._nodes[name]
        node.share, node.shares = share, node.shares + 1
        if share is not None:
            self._lose_cpu((node, node.shares))
        else:
            self._get_cpu((node, node.shares))

    def waits(self, name: str) -> Waits:
        return self._nodes[name].waited

    def _lose_cpu(self, due: tuple[_Node, int]) -> None:
        node, shares = due
        if node.shares != shares or node.share is None:
            return
        if not node.waits:
            node.waits, node.waits_since_us = True, self._scheduler.now_us
        self._scheduler.after(node.share.wait_us, self._get_cpu, due)

    def _get_cpu(self, due: tuple[_Node, int]) -> None:
        node, shares = due
        if node.shares != shares:
            return
        if node.waits:
            node.waits = False
            if node.state == "up":
                times, waited_us, delayed = node.waited
                lasted_us = self._scheduler.now_us - node.waits_since_us
                node.waited = Waits(times + 1, waited_us + lasted_us, (delayed or 0) + len(node.waiting))
            self._catch_up(node)
        if node.share is not None:
            self._scheduler.after(node.share.run_us, self._lose_cpu, due)

    def slow_sync(self, name: str, min_us: int, max_us: int) -> None:
        """Syncs that begin from now on take `min_us` to `max_us` longer; 0, 0 ends that."""
        self._nodes[name].slow_sync_us = (min_us, max_us)

    def break_disk(self, name: str, failing: Failing | None) -> int | None:
        """The node's disk fails at this from now on, also after restarts; at nothing with None. Returns how often it
        has failed in this incarnation, None if the node is down."""
        node = self._nodes[name]
        node.disk.failing = failing
        return node.driven.break_disk(failing) if node.driven is not None else None

    def damage(self, name: str, damage: Damage) -> str:
        """Damages the data of a node that is down; returns what that did, "" if it did nothing."""
        node = self._nodes[name]
        did = self._driver.damage(name, damage) if node.state == "down" else ""
        node.disk.damaged |= bool(did)
        return did

    def change_clock(self, name: str, rate_ppm: int, jump_us: int) -> Ahead:
        """Changes the clock of the node's machine, which outlives restarts."""
        node, now_us = self._nodes[name], self._scheduler.now_us
        before_us = node.clock.ahead_us(now_us)
        node.clock.change(now_us, rate_ppm, jump_us)
        if node.driven is not None:
            node.deadline_us = node.driven.change_clock(now_us, rate_ppm, jump_us)
            self._set_timer(node)
        return Ahead(before_us, node.clock.ahead_us(now_us))

    def submit(self, name: str, token: Any, command: bytes | Read, refused: Callable[[str | None], None]) -> bool:
        """A client's command, or its read without a log entry, arrives at the node; False if it is down. A node that
        cannot serve it, since it does not lead, calls `refused(leader)`."""
        node = self._nodes[name]
        if node.state not in ("up", "paused"):
            return False
        self._submit(node, token, command, refused)
        return True

    def transfer(self, name: str, to: str) -> bool:
        """Asks the node to hand over the leadership; returns whether it begins to. One that is down, paused or waits
        for the processor does not answer."""
        node = self._nodes[name]
        report = self._step(node, "transfer", to) if node.acts else None
        return report is not None and report.accepted

    @property
    def leader(self) -> str | None:
        """The node that leads, as far as the nodes have reported."""
        return self._view.leader

    def draw_from(self, seed: int) -> None:
        """The network and the disks draw from this seed from now on. Nodes do not: each has its timer's stream."""
        self.network.draw_from(seed)
        for name, node in self._nodes.items():
            node.write_draws = Draws(seed, f"disk/{name}", 2)

    # ---- inputs ---------------------------------------------------------------------------------------------------

    def _deliver(self, frame: Frame) -> None:
        node = self._nodes[frame.to]
        if node.acts:
            failpoint = node.armed[0] if node.armed is not None else None
            try:
                report = self._received(node, frame, failpoint)
            except DriverError:
                raise
            except Exception as error:
                self._died(node, error)
                return
            if report is None:
                self.network.refused(frame)
                return
            if report.stale:
                self.stale += 1
            self._took(node, report)
        elif node.state in ("up", "paused"):
            node.waiting.append(partial(self._read, frame))
        else:
            self.lost_to_the_dead += 1

    def _received(self, node: _Node, frame: Frame, failpoint: Failpoint | None) -> StepReport | None:
        """Gives the node the frame; None if it refuses it."""
        driven, now_us = node.driven, self._scheduler.now_us
        assert driven is not None
        if frame.flips:
            return driven.receive_corrupted(
                frame.sender, frame.sender_inc, frame.number, frame.payload, frame.flips, now_us, failpoint
            )
        return driven.receive(frame.sender, frame.sender_inc, frame.number, frame.payload, now_us, failpoint)

    def _read(self, frame: Frame) -> None:
        """The node reads a frame that came while it was paused, unless it has closed the connection since."""
        if not self.network.is_lost(frame):
            self._deliver(frame)

    def _on_timer(self, due: tuple[_Node, int]) -> None:
        node, incarnation = due
        if node.incarnation != incarnation or node.timer_at_us != self._scheduler.now_us:
            return  # the timer of an earlier incarnation, or one that an earlier deadline replaced
        node.timer_at_us = None
        if not node.acts:
            return  # a node that is paused or waits looks at its timer when it resumes
        if node.deadline_us > self._scheduler.now_us:
            self._set_timer(node)
            return
        self._step(node, "tick")

    def _on_synced(self, due: tuple[_Node, int, int]) -> None:
        node, incarnation, lsn = due
        if node.incarnation != incarnation:
            return
        if node.acts:
            self._step(node, "persisted", lsn)
        elif node.state in ("up", "paused"):
            node.waiting.append(partial(self._on_synced, due))

    def _submit(self, node: _Node, token: Any, command: bytes | Read, refused: Callable[[str | None], None]) -> None:
        if node.acts:
            report = self._step(node, "read" if type(command) is Read else "submit", token, command)
            if report is not None and not report.accepted:
                refused(report.leader)
        elif node.state in ("up", "paused"):  # otherwise the clients that wait for an answer have been informed
            node.waiting.append(lambda: self._submit(node, token, command, refused))

    def _step(self, node: _Node, what: str, *given: Any) -> StepReport | None:
        """Takes one step; None if the node died of it."""
        failpoint = node.armed[0] if node.armed is not None else None
        try:
            report: StepReport = getattr(node.driven, what)(*given, self._scheduler.now_us, failpoint)
        except DriverError:
            raise
        except Exception as error:
            self._died(node, error)
            return None
        self._took(node, report)
        return report

    # ---- outputs --------------------------------------------------------------------------------------------------

    def _took(self, node: _Node, report: StepReport) -> None:
        """Carries out the outputs of a step."""
        if report.events:
            self._trace.node(node.name, node.incarnation, report.events)
        for to, number, message in report.sends:
            self.network.send(node.name, node.incarnation, to, number, message)
        if report.stopped:
            assert node.armed is not None
            _, reached = node.armed
            node.armed = None
            reached()
            return
        if report.write_lsn:
            self._scheduler.after(self._sync_us(node), self._on_synced, (node, node.incarnation, report.write_lsn))
        for reply in report.replies:
            self._answer(node.name, reply)
        node.deadline_us = report.deadline_us
        if node.timer_at_us is None or node.timer_at_us > report.deadline_us:
            self._set_timer(node)

    def _set_timer(self, node: _Node) -> None:
        # A timer that fires early is checked again, so set a new one only if the old one would fire too late.
        if node.timer_at_us is None or node.timer_at_us > node.deadline_us:
            # An overdue timer (its clock jumped, or the node was paused) is due now.
            node.timer_at_us = max(node.deadline_us, self._scheduler.now_us)
            self._scheduler.at(node.timer_at_us, self._on_timer, (node, node.incarnation))

    def _sync_us(self, node: _Node) -> int:
        """How long the node's new write takes to become durable."""
        base, slow = node.write_draws.of(node.writes)
        node.writes += 1
        model = self._model
        sync_us = model.sync_min_us + int((model.sync_max_us - model.sync_min_us) * base)
        if node.slow_sync_us != (0, 0):
            node.slowed_syncs += 1
            least, most = node.slow_sync_us
            sync_us += least + int((most - least) * slow)
        return sync_us

    # ---- ends -----------------------------------------------------------------------------------------------------

    def _down(self, node: _Node) -> None:
        node.state, node.driven, node.armed, node.asked, node.timer_at_us = "down", None, None, None, None
        node.waiting = []
        self._view.gone(node.name)

    def _stop(self, node: _Node) -> None:
        """The node does what it was asked for."""
        assert node.driven is not None and node.asked is not None
        ended = node.asked
        try:
            node.driven.stop()
        except DriverError:
            raise
        except Exception as error:
            self._died(node, error)
        else:
            self._down(node)
            self._trace.harness(NodeExited(**self._subject(node), exit_code=0, excused=ASKED))
            self._broke(node.name)
        ended()

    def _died(self, node: _Node, error: Exception) -> None:
        """The node ended by itself. It is not started again, unless only its disk was to blame."""
        self._down(node)
        end = end_of(node.name, error, node.disk)
        node.state, node.exit_code = "down" if end.can_start else "exited", end.exit_code
        self._trace.harness(
            NodeExited(**self._subject(node), exit_code=end.exit_code, log_tail=end.said, excused=end.excused)
        )
        self._broke(node.name)

    def _subject(self, node: _Node) -> dict[str, Any]:
        return {
            "node": HARNESS,
            "inc": 1,
            "t_us": self._scheduler.now_us,
            "subject": node.name,
            "subject_inc": node.incarnation,
        }
