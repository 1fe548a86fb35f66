"""How clients reach nodes in virtual time: nodes that lead, follow, are down, pause, or go down meanwhile."""

from __future__ import annotations

from builders.schedules import LONGEST_US, NODES
from builders.workload import ROUND_TRIP_US, Workload
from raft_chaos.chaos.faults.links import LinkState
from raft_chaos.chaos.run.clients import OPERATION_TIMEOUT_US, RETRY_US
from raft_chaos.chaos.run.sim.door import LATENCY_US
from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets.door import NoAnswer, Outcome


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


def test_a_dead_node_refuses_and_the_next_one_is_asked_after_a_while() -> None:
    work = Workload()
    work.nodes.cluster.kill(work.follower, 0)
    began_us = work.now_us
    work.perform(work.follower)
    assert work.until_ended().type == "ok"
    assert work.asked()[:2] == [work.follower, NODES[(NODES.index(work.follower) + 1) % 3]]
    assert RETRY_US <= work.commands[1][0] - work.commands[0][0] <= RETRY_US + ROUND_TRIP_US
    assert work.commands[0][0] - began_us <= LATENCY_US[1]


def test_a_request_that_times_out_on_its_way_never_arrives() -> None:
    """Its outcome is "fail", so it must not be done."""
    work = Workload()
    replies: list[Outcome | NoAnswer] = []

    async def ask() -> None:
        replies.append(await work.doors[0].ask(work.leader, b"a command", LATENCY_US[0]))

    began_us, ended = work.now_us, []
    work.spawn(ask(), lambda: ended.append(work.now_us - began_us))
    work.nodes.go(OPERATION_TIMEOUT_US)
    assert (replies, ended) == ([NoAnswer(False, "")], [LATENCY_US[0]])
    assert work.commands == []


def test_a_request_to_paused_nodes_times_out() -> None:
    work = Workload()
    for node in NODES:
        work.nodes.cluster.pause(node)
    began_us = work.now_us
    work.perform(work.leader)
    end = work.until_ended()
    assert (end.type, end.error, end.t_us) == ("info", "no answer in time", began_us + OPERATION_TIMEOUT_US)
    first = NODES.index(work.leader)
    assert work.asked() == [NODES[(first + attempt) % len(NODES)] for attempt in range(4)]


def test_a_client_of_a_paused_leader_asks_the_next_node_and_comes_to_the_successor() -> None:
    work = Workload()
    work.nodes.cluster.pause(work.leader)
    began_us = work.now_us
    work.perform(work.leader)
    end = work.until_ended()
    assert end.type == "ok" and end.t_us - began_us < OPERATION_TIMEOUT_US / 2
    assert work.asked()[0] == work.leader and work.leader not in work.asked()[1:]
    work.nodes.cluster.resume(work.leader)
    assert work.list_value() == ["v"], "the paused node has the command too, and no longer leads"


def test_a_deposed_leader_answers_with_an_unknown_outcome() -> None:
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


def test_a_broken_connection_makes_the_outcome_unknown() -> None:
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


def test_a_late_answer_to_an_earlier_request_is_ignored() -> None:
    """The paused node has two commands of the client when it goes on, and the time for the first is up."""
    work = Workload(names=["n1"])
    work.nodes.cluster.pause("n1")
    work.perform("n1", value="first")
    assert work.until_ended().type == "info"
    work.perform("n1", value="second")
    work.nodes.go(ROUND_TRIP_US)
    assert [command.value for _, _, command in work.commands] == ["first"] * 4 + ["second"]
    work.nodes.cluster.resume("n1")
    end = work.until_ended(2)
    assert (end.type, end.index) == ("ok", 6), "the first has index 2, and its repetitions those up to 5"
    work.nodes.go(3 * OPERATION_TIMEOUT_US)
    assert len(work.ends()) == 2 and work.done == ["c0/0", "c0/1"]
    assert work.list_value() == ["first", "second"]


def test_a_failed_cas_returns_the_value_that_it_found() -> None:
    work = Workload()
    work.perform(work.leader, "put", "old", "register")
    work.until_ended()
    cas = Operation(id="c0/1", client="c0", at_us=0, f="cas", key="register", value="new", expected="other")
    work.spawn(work.clients[0].perform(cas))
    end = work.until_ended(2)
    assert (end.type, end.value, end.expected) == ("fail", "old", "other") and end.index == 3
