"""Partitions: what each shape promises, for any nodes and any draw."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from raft_chaos.chaos.faults import grudge
from raft_chaos.chaos.faults.grudge import SHAPES, Grudge, Shape, cut_links, majority_of, make, resolve
from raft_chaos.chaos.faults.names import around

NODES = st.integers(3, 9).map(lambda count: [f"n{number}" for number in range(1, count + 1)])
SEEDS = st.integers(0, 2**32)


def heard(resolved: Grudge, nodes: list[str]) -> dict[str, frozenset[str]]:
    """For each node, the nodes that it hears, including itself."""
    return {node: frozenset(nodes) - frozenset(resolved.get(node, [])) for node in nodes}


def groups(resolved: Grudge, nodes: list[str]) -> list[frozenset[str]]:
    """The different sets of nodes that hear each other, largest first."""
    return sorted(set(heard(resolved, nodes).values()), key=lambda group: (-len(group), sorted(group)))


@given(st.sampled_from(SHAPES), NODES, SEEDS)
def test_every_shape_cuts_some_links_and_nobody_from_itself(shape: Shape, nodes: list[str], seed: int) -> None:
    made = make(shape, nodes, Random(seed))
    resolved = resolve(made, nodes, around(nodes[0], nodes))
    links = cut_links(resolved)
    assert links == sorted(set(links)) and links
    assert all(a != b and a in nodes and b in nodes for a, b in links)
    assert list(resolved) == [node for node in nodes if node in resolved]
    assert make(shape, nodes, Random(seed)) == made


@given(NODES, SEEDS)
def test_halves_differ_by_at_most_one_node(nodes: list[str], seed: int) -> None:
    large, small = groups(grudge.halves(nodes, Random(seed)), nodes)
    assert large | small == set(nodes) and not large & small
    assert len(small) == len(nodes) // 2


@given(NODES, SEEDS)
def test_one_is_alone(nodes: list[str], seed: int) -> None:
    rest, alone = groups(grudge.one(nodes, Random(seed)), nodes)
    assert len(alone) == 1 and rest == set(nodes) - alone


@given(NODES, SEEDS)
def test_a_bare_majority_stays_together_and_each_other_node_is_alone(nodes: list[str], seed: int) -> None:
    together, *rest = groups(grudge.majority(nodes, Random(seed)), nodes)
    assert len(together) == majority_of(len(nodes))
    assert [len(group) for group in rest] == [1] * (len(nodes) - len(together))


@given(NODES, SEEDS)
def test_in_a_majorities_ring_each_hears_a_majority_and_no_two_the_same(nodes: list[str], seed: int) -> None:
    hears = heard(grudge.majorities_ring(nodes, Random(seed)), nodes)
    assert {len(group) for group in hears.values()} == {majority_of(len(nodes))}
    assert len(set(hears.values())) == len(nodes)
    assert all(node in group for node, group in hears.items())
    listeners = [sum(node in group for group in hears.values()) for node in nodes]
    assert set(listeners) == {majority_of(len(nodes))}, "and each is heard by a majority"


@given(NODES, SEEDS)
def test_a_bridge_joins_two_halves_that_do_not_hear_each_other(nodes: list[str], seed: int) -> None:
    hears = heard(grudge.bridge(nodes, Random(seed)), nodes)
    (bridge,) = [node for node, group in hears.items() if group == set(nodes)]
    large, small = sorted({group - {bridge} for node, group in hears.items() if node != bridge}, key=len, reverse=True)
    assert large | small | {bridge} == set(nodes) and not large & small
    assert all(bridge in group for group in hears.values())
    assert len(large) - len(small) <= 1


@given(NODES, SEEDS, st.data())
def test_an_isolated_leader_is_cut_off_in_both_directions(nodes: list[str], seed: int, data: st.DataObject) -> None:
    leader = data.draw(st.sampled_from(nodes))
    made = grudge.isolate_leader(nodes, Random(seed))
    links = cut_links(resolve(made, nodes, around(leader, nodes)))
    assert set(links) == {pair for other in nodes if other != leader for pair in ((leader, other), (other, leader))}


@given(NODES, SEEDS)
def test_one_way_cuts_one_direction_of_one_node(nodes: list[str], seed: int) -> None:
    links = cut_links(resolve(grudge.one_way(nodes, Random(seed)), nodes, around(nodes[-1], nodes)))
    senders, receivers = {sender for sender, _ in links}, {receiver for _, receiver in links}
    assert sorted((len(senders), len(receivers))) == [1, len(nodes) - 1]


def test_one_way_draws_either_direction_and_also_the_leader() -> None:
    nodes = ["n1", "n2", "n3"]
    made = [grudge.one_way(nodes, Random(seed)) for seed in range(50)]
    assert {"leader": ["others"]} in made and {"others": ["leader"]} in made
    assert {"n1": ["n2", "n3"]} in made and {"n2": ["n1"], "n3": ["n1"]} in made


def test_without_a_known_leader_only_a_grudge_among_named_nodes_resolves() -> None:
    nodes = ["n1", "n2", "n3"]
    assert resolve({"leader": ["others"]}, nodes, {}) == {}
    assert resolve({"n3": ["others"]}, nodes, {}) == {}
    assert resolve({"n3": ["n2", "n1"]}, nodes, {}) == {"n3": ["n1", "n2"]}


def test_a_leader_named_twice_is_denied_the_same_frames_once() -> None:
    nodes = ["n1", "n2", "n3"]
    made = {"n2": ["n1"], "leader": ["others", "n3"]}
    assert resolve(made, nodes, around("n2", nodes)) == {"n2": ["n1", "n3"]}
    assert cut_links({"n2": ["n3", "n1"], "n1": ["n2"]}) == [("n1", "n2"), ("n2", "n1"), ("n3", "n2")]
