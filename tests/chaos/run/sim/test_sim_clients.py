"""The workload in virtual time: what a client makes of each answer, and of none."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from builders.schedules import LONGEST_US, NODES
from builders.virtual_cluster import Nodes
from raft_chaos.chaos.faults.links import LinkState
from raft_chaos.chaos.run.client_records import History, Outcome
from raft_chaos.chaos.run.clients import OPERATION_TIMEOUT_US, RETRY_US, Client, NoAnswer
from raft_chaos.chaos.run.sim.door import LATENCY_US, Requests, VirtualDoor
from raft_chaos.chaos.run.sim.tasks import VirtualTasks
from raft_chaos.chaos.schedule.data import Operation, SimModel
from raft_chaos.invariants.history import Op, OpFunction
from raft_chaos.raft.replica.machine import Command, decode_command

ROUND_TRIP_US = 2 * LATENCY_US[1]
FAR_US = 10**9


class Workload:
    """Clients of a cluster with a leader. `ops` is the history, `commands` are (when, node, command) as they arrive."""

    def __init__(self, clients: int = 1, model: SimModel | None = None, names: Sequence[str] = NODES) -> None:
        self.ops: list[Op] = []
        self.done: list[str] = []
        self.commands: list[tuple[int, str, Command]] = []
        self.requests = Requests(lambda: self)  # type: ignore[arg-type,return-value]
        self.nodes = Nodes(nodes=names, model=model, answer=self.requests.answer, broke=self.requests.broke)
        history = History(self.ops.append)
        scheduler = self.nodes.scheduler
        self.tasks = VirtualTasks(scheduler)
        self.doors = [VirtualDoor(f"c{place}", list(names), 1, self.requests, scheduler) for place in range(clients)]
        self.clients = [
            Client(
                name=f"c{place}",
                place=place,
                clients=clients,
                door=self.doors[place],
                history=history,
                tasks=self.tasks,
                now_us=lambda: scheduler.now_us,
            )
            for place in range(clients)
        ]
        self.leader = self.nodes.leader()
        self.follower, self.other = [*self.nodes.followers(self.leader), "", ""][:2]
        self.nodes.go(LONGEST_US)

    def submit(self, name: str, token: int, command: bytes, refused: Callable[[str | None], None]) -> bool:
        """A request arrives at a node, and is noted."""
        self.commands.append((self.now_us, name, decode_command(command)))
        return self.nodes.cluster.submit(name, token, command, refused)

    @property
    def now_us(self) -> int:
        return self.nodes.scheduler.now_us

    def perform(
        self, node: str, f: OpFunction = "append", value: str = "v", key: str = "k", client: int = 0
    ) -> Operation:
        """The operation begins, with a client that believes in that node."""
        one = self.clients[client]
        one.believed = node
        number = sum(op.type == "invoke" for op in self.ops)
        operation = Operation(
            id=f"c{client}/{number}", client=f"c{client}", at_us=0, f=f, key=key, value=None if f == "get" else value
        )
        self.spawn(one.perform(operation), lambda: self.done.append(operation.id))
        return operation

    def spawn(self, work: Coroutine[Any, Any, None], then: Callable[[], object] = lambda: None) -> None:
        async def one() -> None:
            await work
            then()

        self.tasks.spawn(one(), "a client")

    def ends(self) -> list[Op]:
        return [op for op in self.ops if op.type != "invoke"]

    def until_ended(self, count: int = 1) -> Op:
        self.nodes.until(lambda: len(self.ends()) >= count, within_us=3 * OPERATION_TIMEOUT_US)
        return self.ends()[count - 1]

    def asked(self) -> list[str]:
        return [node for _, node, _ in self.commands]

    def list_value(self) -> object:
        """What the list of the operations is, as the leader of now says."""
        leader = self.nodes.until(lambda: self.nodes.view.leader)
        before = len(self.ends())
        self.perform(leader, "get")
        return self.until_ended(before + 1).value


# ---- one operation -----------------------------------------------------------------------------------------------


def test_an_operation_is_answered_by_the_leader() -> None:
    work = Workload()
    began_us = work.now_us
    work.perform(work.leader)
    end = work.until_ended()
    assert (end.type, end.process, end.op, end.term) == ("ok", 0, "c0/0", 1)
    assert end.index == 2
    assert [op.type for op in work.ops] == ["invoke", "ok"] and work.done == ["c0/0"]
    assert work.ops[0].t_us == began_us
    assert 2 * LATENCY_US[0] < end.t_us - began_us
    ((arrived_us, _, command),) = work.commands
    assert LATENCY_US[0] <= arrived_us - began_us <= LATENCY_US[1]
    assert (command.op, command.key, command.value, command.client, command.serial) == ("append", "k", "v", "c0.0", 1)
    assert work.list_value() == ["v"]


def test_a_follower_sends_its_clients_to_the_leader() -> None:
    work = Workload()
    work.perform(work.follower)
    assert work.until_ended().type == "ok"
    assert work.asked() == [work.follower, work.leader]
    (first_us, _, first), (second_us, _, second) = work.commands
    assert first == second
    assert second_us - first_us <= ROUND_TRIP_US, "at once"
    work.perform(work.clients[0].believed)
    work.until_ended(2)
    assert work.asked()[2:] == [work.leader], "and it remembers"


def test_a_node_that_knows_no_leader_is_asked_in_turn_with_the_others() -> None:
    work = Workload()
    for node in (work.leader, work.other):
        work.nodes.cluster.kill(node, 0)
    work.nodes.go(3 * LONGEST_US)  # the one that is left stands for election in vain
    work.perform(work.follower)
    end = work.until_ended()
    assert (end.type, end.error) in [("fail", "no leader known"), ("fail", "cannot connect: Connection refused")]
    turns = NODES * 30
    assert work.asked() == turns[NODES.index(work.follower) :][: len(work.asked())]
    assert OPERATION_TIMEOUT_US // (RETRY_US + ROUND_TRIP_US) <= len(work.asked()) <= OPERATION_TIMEOUT_US // RETRY_US


def test_a_dead_node_refuses_and_the_next_one_is_asked_after_a_while() -> None:
    work = Workload()
    work.nodes.cluster.kill(work.follower, 0)
    began_us = work.now_us
    work.perform(work.follower)
    assert work.until_ended().type == "ok"
    assert work.asked()[:2] == [work.follower, NODES[(NODES.index(work.follower) + 1) % 3]]
    assert RETRY_US <= work.commands[1][0] - work.commands[0][0] <= RETRY_US + ROUND_TRIP_US
    assert work.commands[0][0] - began_us <= LATENCY_US[1]


def test_what_certainly_did_not_happen_failed() -> None:
    work = Workload()
    for node in NODES:
        work.nodes.cluster.kill(node, 0)
    began_us = work.now_us
    work.perform("n2")
    end = work.until_ended()
    assert (end.type, end.error) == ("fail", "cannot connect: Connection refused")
    assert end.t_us == began_us + OPERATION_TIMEOUT_US
    assert end.process == 0
    work.perform("n2")
    assert work.ops[-1].process == 0, "the client goes on as the same process"


def test_a_request_whose_time_is_up_on_its_way_never_arrives() -> None:
    """It is told as certainly not done, so it must not be done."""
    work = Workload()
    replies: list[Outcome | NoAnswer] = []

    async def ask() -> None:
        replies.append(await work.doors[0].ask(work.leader, b"a command", LATENCY_US[0]))

    began_us, ended = work.now_us, []
    work.spawn(ask(), lambda: ended.append(work.now_us - began_us))
    work.nodes.go(OPERATION_TIMEOUT_US)
    assert (replies, ended) == ([NoAnswer(False, "")], [LATENCY_US[0]])
    assert work.commands == []


def test_what_is_unknown_of_one_operation_says_nothing_of_the_next() -> None:
    work = Workload()
    for node in (work.other, work.follower):
        work.nodes.cluster.kill(node, 0)
    work.perform(work.leader)
    work.nodes.go(ROUND_TRIP_US)
    work.nodes.cluster.kill(work.leader, 0)
    assert work.until_ended().type == "info"
    work.perform(work.leader)
    assert work.until_ended(2).type == "fail"


def test_a_paused_node_says_nothing_until_the_time_is_up() -> None:
    work = Workload()
    work.nodes.cluster.pause(work.leader)
    began_us = work.now_us
    work.perform(work.leader)
    end = work.until_ended()
    assert (end.type, end.error, end.t_us) == ("info", "no answer in time", began_us + OPERATION_TIMEOUT_US)
    assert work.asked() == [work.leader]


def test_a_command_without_a_majority_is_unknown() -> None:
    work = Workload()
    work.nodes.cluster.kill(work.other, 0)
    work.nodes.cluster.kill(work.follower, 0)
    work.perform(work.leader)
    end = work.until_ended()
    assert (end.type, end.error) == ("info", "no answer in time")
    assert (end.index, end.term, end.value) == (None, None, None)


def test_a_leader_that_loses_its_office_does_not_know() -> None:
    """The command is in its log, without a majority; a new leader's entries take its place."""
    work = Workload()
    links = [(a, b) for a, b in work.nodes.cluster.network.links if work.leader in (a, b)]
    work.nodes.cluster.network.set_links(dict.fromkeys(links, LinkState(cut=True)))
    work.perform(work.leader)
    work.nodes.go(3 * LONGEST_US)
    work.nodes.cluster.network.set_links(dict.fromkeys(links, LinkState()))
    end = work.until_ended()
    assert end.type == "ok", "it asked again, and was answered by the new leader"
    assert len(work.commands) >= 2 and end.term is not None and end.term > 1
    assert work.list_value() == ["v"]


# ---- processes and serials ---------------------------------------------------------------------------------------


def test_after_an_unknown_outcome_the_client_is_another_process_in_another_session() -> None:
    work = Workload(clients=3)
    work.perform(work.leader, client=1)
    work.until_ended()
    work.nodes.cluster.pause(work.leader)
    work.perform(work.leader, client=1)
    assert work.until_ended(2).type == "info"
    work.nodes.cluster.resume(work.leader)
    work.nodes.go(LONGEST_US)
    work.perform(work.nodes.leader(), client=1)
    work.until_ended(3)
    assert [(op.type, op.process) for op in work.ops] == [
        *[("invoke", 1), ("ok", 1)],
        *[("invoke", 1), ("info", 1)],
        *[("invoke", 4), ("ok", 4)],
    ]
    sessions = {(command.client, command.serial) for _, _, command in work.commands}
    assert sessions == {("c1.1", 1), ("c1.1", 2), ("c1.4", 1)}


def test_a_command_that_is_sent_again_is_applied_once() -> None:
    """The leader is killed when its followers have the entry, and before its answer can leave."""
    work = Workload(model=SimModel(sync_min_us=10, sync_max_us=10))
    answers: list[str] = []
    cluster = work.nodes.cluster
    cluster.arm(work.leader, "before_answer", lambda: (cluster.kill(work.leader, 0), answers.append("reached"))[1])
    work.perform(work.leader)
    work.nodes.until(lambda: answers)
    end = work.until_ended()
    assert end.type == "ok"
    arrived = [command for _, _, command in work.commands]
    assert len(arrived) > 1 and len({(c.client, c.serial) for c in arrived}) == 1
    cluster.start(work.leader)
    work.nodes.go(LONGEST_US)
    assert work.list_value() == ["v"]


def test_a_broken_connection_is_no_answer() -> None:
    work = Workload()
    work.nodes.cluster.kill(work.other, 0)
    work.nodes.cluster.kill(work.follower, 0)
    work.perform(work.leader)
    work.nodes.go(ROUND_TRIP_US)
    work.nodes.cluster.kill(work.leader, 0)
    end = work.until_ended()
    assert end.type == "info", "the first node may have had it durable"
    assert end.error == "cannot connect: Connection refused", "what it heard last"
    assert len(work.commands) > 1


def test_a_late_answer_of_an_earlier_request_is_no_answer_to_a_later_one() -> None:
    """The paused node has two commands of the client when it goes on, and the time for the first is up."""
    work = Workload(names=["n1"])
    work.nodes.cluster.pause("n1")
    work.perform("n1", value="first")
    assert work.until_ended().type == "info"
    work.perform("n1", value="second")
    work.nodes.go(ROUND_TRIP_US)
    assert len(work.commands) == 2
    work.nodes.cluster.resume("n1")
    end = work.until_ended(2)
    assert (end.type, end.index) == ("ok", 3), "the first has index 2"
    work.nodes.go(3 * OPERATION_TIMEOUT_US)
    assert len(work.ends()) == 2 and work.done == ["c0/0", "c0/1"]
    assert work.list_value() == ["first", "second"]


def test_a_cas_that_finds_something_else_is_told_what() -> None:
    work = Workload()
    work.perform(work.leader, "put", "old", "register")
    work.until_ended()
    cas = Operation(id="c0/1", client="c0", at_us=0, f="cas", key="register", value="new", expected="other")
    work.spawn(work.clients[0].perform(cas))
    end = work.until_ended(2)
    assert (end.type, end.value, end.expected) == ("fail", "old", "other") and end.index == 3


# ---- many operations ---------------------------------------------------------------------------------------------


def planned(at_us: Sequence[int]) -> list[Operation]:
    return [
        Operation(id=f"c0/{n}", client="c0", at_us=at, f="append", key="k", value=f"{n}") for n, at in enumerate(at_us)
    ]


def test_one_operation_is_open_at_a_time_and_none_begins_before_its_time() -> None:
    work = Workload()
    work.clients[0].believed = work.leader
    now_us, ended = work.now_us, []
    plan = planned([now_us, now_us, now_us + 1, now_us + 50_000])
    work.spawn(work.clients[0].run(plan, FAR_US), lambda: ended.append(work.now_us))
    work.nodes.until(lambda: ended)
    assert [op.type for op in work.ops] == ["invoke", "ok"] * 4
    begins, ends = [op.t_us for op in work.ops[::2]], [op.t_us for op in work.ops[1::2]]
    assert begins == [now_us, ends[0], ends[1], now_us + 50_000]
    assert ended == [ends[-1]]
    assert work.list_value() == ["0", "1", "2", "3"]


def test_no_operation_begins_after_the_end() -> None:
    work = Workload()
    work.clients[0].believed = work.leader
    now_us, ended = work.now_us, []
    plan = planned([now_us, now_us + 20_000, now_us + 20_001])
    work.spawn(work.clients[0].run(plan, now_us + 20_000), lambda: ended.append(work.now_us))
    work.nodes.go(OPERATION_TIMEOUT_US)
    assert [op.op for op in work.ends()] == ["c0/0", "c0/1"]
    assert ended == [work.ends()[-1].t_us]


def test_an_operation_that_its_turn_comes_too_late_for_never_begins() -> None:
    """The first takes until its time is up; the second's own moment was before the end, but the end came first."""
    work = Workload()
    for node in NODES:
        work.nodes.cluster.kill(node, 0)
    now_us, ended = work.now_us, []
    work.spawn(work.clients[0].run(planned([now_us, now_us + 10]), now_us + 100), lambda: ended.append(work.now_us))
    work.nodes.go(2 * OPERATION_TIMEOUT_US)
    assert [op.type for op in work.ops] == ["invoke", "fail"] and len(ended) == 1


def test_a_client_without_operations_is_done() -> None:
    work, ended = Workload(), []
    work.spawn(work.clients[0].run([], FAR_US), lambda: ended.append(work.now_us))
    assert ended == [work.now_us] and not work.ops


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_client_begins_with_a_node_of_its_own(place: int) -> None:
    work = Workload(clients=3)
    one = Operation(id="c/0", client="c", at_us=0, f="get", key="k")
    work.spawn(work.clients[place].run([one], FAR_US))
    work.until_ended()
    assert work.asked()[0] == NODES[place]
