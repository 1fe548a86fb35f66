"""The cluster by hand: operations of one client, faults that last until they are healed, and time that passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.catalogue import KINDS
from raft_chaos.chaos.faults.grudge import Grudge, apart
from raft_chaos.chaos.faults.names import LEADER, OTHERS
from raft_chaos.chaos.faults.partition import Partition
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.run.nemesis import Nemesis
from raft_chaos.chaos.schedule.data import Fault, Operation, When
from raft_chaos.chaos.targets.door import Outcome
from raft_chaos.chaos.testing.by_hand.stage import CLIENT, Stage
from raft_chaos.invariants.history import OpFunction
from raft_chaos.invariants.rundir import RunInfo

UNTIL_HEALED_US = 1 << 50
POLL_US = 10_000
PATIENCE_S = 10.0


class ByHandError(Exception):
    """What was asked of the cluster did not happen. The message says what, and how long it was waited for."""


class Cluster:
    """Nodes that are up, and faults and operations on request. Nodes may be named by role: "leader", "others".

    A fault lasts until `heal`, or for the given number of `seconds`. Operations are recorded, and judged when the
    cluster is closed, with everything else. Not for several threads at once.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._nemesis: Nemesis = stage.new_nemesis()
        self._faults, self._operations = count(1), count(1)
        self._failed: Exception | None = None
        self._closed = False

    # ---- what it is -----------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[str]:
        return list(self._stage.info.nodes)

    @property
    def seed(self) -> int:
        return self._stage.info.seed

    @property
    def world(self) -> str:
        return self._stage.info.world

    @property
    def path(self) -> Path:
        """The run directory."""
        return self._stage.run.path

    def address(self, node: str) -> str:
        """Where clients reach the node: a URL in real time, its name in virtual time; "" before its first start."""
        return self._stage.address(node)

    def leader(self, within: float = PATIENCE_S) -> str:
        """The leader, once there is one that runs and is not cut off. Raises ByHandError after `within` seconds."""
        self._wait_for(lambda: self._nemesis.leader() is not None, within, "no node leads")
        leader = self._nemesis.leader()
        assert leader is not None
        return leader

    # ---- operations -----------------------------------------------------------------------------------------------

    def get(self, key: str) -> Outcome:
        return self.do("get", key)

    def put(self, key: str, value: str) -> Outcome:
        return self.do("put", key, value)

    def cas(self, key: str, expected: str | None, value: str) -> Outcome:
        return self.do("cas", key, value, expected)

    def do(self, f: OpFunction, key: str, value: str | None = None, expected: str | None = None) -> Outcome:
        """One operation. Its `type` is "ok", "fail" (it certainly had no effect) or "info" (nobody knows)."""
        operation = Operation(
            id=f"{CLIENT}/{next(self._operations)}",
            client=CLIENT,
            at_us=self._stage.tasks.now_us,
            f=f,
            key=key,
            value=value,
            expected=expected,
        )
        return self._stage.go(self._stage.client.perform(operation))

    # ---- faults ---------------------------------------------------------------------------------------------------

    def kill(self, *nodes: str, seconds: float | None = None) -> None:
        """SIGKILL to all of them at once. They start again after `seconds`, or when the cluster is healed."""
        restarts = [_us(seconds)] * len(nodes)
        self._strike(Kill(self._named(nodes), restarts), _us(seconds))

    def pause(self, *nodes: str, seconds: float | None = None) -> None:
        """SIGSTOP to all of them."""
        self._strike(Pause(self._named(nodes)), _us(seconds))

    def partition(self, *groups: Sequence[str], seconds: float | None = None) -> None:
        """Nodes of different groups do not hear each other. With one group, all other nodes are the second one."""
        named = [list(self._named(group)) for group in groups]
        if len(named) == 1:
            named.append([node for node in self.nodes if node not in named[0]])
        self._strike(Partition("halves", apart(named)), _us(seconds))

    def isolate(self, node: str, seconds: float | None = None) -> None:
        """The node and all the others do not hear each other."""
        if node == LEADER:
            grudge: Grudge = {LEADER: [OTHERS], OTHERS: [LEADER]}
            self._strike(Partition("isolate_leader", grudge), _us(seconds))
        else:
            self.partition([node], seconds=seconds)

    def fault(self, kind: str, seconds: float | None = None, **fields: Any) -> None:
        """Any kind of fault that the world has, with its fields in a schedule (docs/reference/faults.md)."""
        if kind not in KINDS:
            raise ValueError(f"fault: there is no {kind!r}; there are {', '.join(KINDS)}")
        try:
            action = msgspec.convert({"type": kind, **fields}, KINDS[kind])
        except msgspec.ValidationError as error:
            raise ValueError(f"fault {kind}: {error}") from None
        self._strike(action, _us(seconds))

    def heal(self) -> None:
        """Ends all faults: links carry again, paused nodes go on, killed ones start again."""
        self._stage.go(self._nemesis.end())
        self._nemesis = self._stage.new_nemesis()

    def _strike(self, action: Action, duration_us: int) -> None:
        """Returns once the fault is in force."""
        names = [*self.nodes, *type(action).placeholders(at_vote=False)]
        if wrong := next(iter(action.check(names)), None):
            raise ValueError(f"fault {action.kind()}: {wrong}; nodes are {', '.join(names)}")
        fault = Fault(id=f"hand{next(self._faults)}", when=When(at_us=0), action=action, duration_us=duration_us)
        log, before = self._stage.log, self._stage.log.begun
        self._nemesis.start([fault])
        self._wait_for(lambda: log.begun > before, PATIENCE_S, f"the {action.kind()} did not begin")

    # ---- time -----------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Time passes, virtual or real."""
        self._stage.go(self._pass(round(seconds * 1e6)))

    def until(self, condition: Callable[[], bool], within: float = PATIENCE_S) -> None:
        """Time passes until the condition holds. Raises ByHandError if it does not within that many seconds."""
        self._wait_for(condition, within, "the condition does not hold")

    def _wait_for(self, condition: Callable[[], bool], within_s: float, otherwise: str) -> None:
        ends_us = self._stage.tasks.now_us + round(within_s * 1e6)
        while not condition():
            if self._stage.tasks.now_us >= ends_us:
                raise ByHandError(f"{otherwise} within {within_s:g} s")
            self._stage.go(self._pass(POLL_US))

    async def _pass(self, for_us: int) -> None:
        await self._stage.tasks.sleep_until(self._stage.tasks.now_us + for_us)

    # ---- the end --------------------------------------------------------------------------------------------------

    def close(self) -> RunInfo:
        """Heals all faults, ends all nodes, judges everything that happened, and saves the run. A second call gives the
        same end."""
        if self._failed is not None:
            raise self._failed
        try:
            if not self._closed:
                self._closed = True
                self._stage.go(self._nemesis.end())
            return self._stage.finish()
        except Exception as error:
            self._failed = error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Cluster: {len(self.nodes)} nodes, seed {self.seed}, {self.world}, {self.path}>"

    def _named(self, nodes: Sequence[str]) -> list[str]:
        if not nodes or isinstance(nodes, str):
            raise ValueError(f"expected the names of nodes, such as {self.nodes[0]!r} or 'leader', got {nodes!r}")
        return list(nodes)


def _us(seconds: float | None) -> int:
    return UNTIL_HEALED_US if seconds is None else round(seconds * 1e6)
