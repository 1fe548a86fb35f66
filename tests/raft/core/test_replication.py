"""§5.3 log replication, both sides: Figure 7, and followers and leaders that were down or cut off."""

from __future__ import annotations

import pytest

from cluster import Cluster, command, entries
from roles import Terms

A, B = command("a"), command("b")

FIGURE_7: dict[str, Terms] = {
    "a": (1, 1, 1, 4, 4, 5, 5, 6, 6),
    "b": (1, 1, 1, 4),
    "c": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
    "d": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
    "e": (1, 1, 1, 4, 4, 4, 4),
    "f": (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
}


def test_figure_7_the_leader_brings_all_six_followers_into_agreement() -> None:
    logs = {"n1": entries(1, 1, 1, 4, 4, 5, 5, 6, 6, 6)}
    logs |= {f"n{number}": entries(*terms) for number, terms in enumerate(FIGURE_7.values(), 2)}
    cluster = Cluster(7, logs=logs, term=7)
    # d has entries of term 7 and would not vote for this leader; the four others needed do (§5.4.1).
    leader = cluster.elect("n1")
    cluster.heartbeat("n1")
    assert leader.terms == [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8]
    for server in cluster.servers.values():
        assert server.recovered().entries == leader.recovered().entries
        assert server.core.log.digest(11) == leader.core.log.digest(11)
        assert server.core.last_applied == 11


@pytest.mark.parametrize("follower", FIGURE_7.values(), ids=FIGURE_7)
def test_figure_7_each_follower_alone(follower: Terms) -> None:
    cluster = Cluster(3, logs={"n1": entries(1, 1, 1, 4, 4, 5, 5, 6, 6, 6), "n2": entries(*follower)}, term=7)
    cluster.elect("n1")
    assert cluster["n2"].recovered().entries == cluster["n1"].recovered().entries


def test_a_follower_that_was_away_catches_up() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.crash("n3")
    cluster.submit("n1", *[A] * 5)
    cluster.settle()
    cluster.restart("n3")
    cluster.heartbeat("n1")
    cluster.heartbeat("n1")
    assert cluster["n3"].terms == cluster["n1"].terms == [1] * 6
    assert cluster["n3"].core.last_applied == 6


def test_a_cut_off_leader_loses_its_uncommitted_entries() -> None:
    cluster = Cluster(3)
    cluster.elect("n1")
    cluster.cut_off = frozenset({"n1"})
    cluster.submit("n1", A, B)
    cluster.settle()
    cluster.elect("n2")
    assert [server.name for server in cluster.leaders()] == ["n1", "n2"]
    cluster.cut_off = frozenset()
    cluster.heartbeat("n2")
    assert [server.name for server in cluster.leaders()] == ["n2"]
    assert cluster["n1"].terms == cluster["n2"].terms == [1, 2]
    # Its clients get an unknown outcome.
    assert [(reply.index, reply.term, reply.result) for reply in cluster["n1"].replies] == [(2, 1, None), (3, 1, None)]
