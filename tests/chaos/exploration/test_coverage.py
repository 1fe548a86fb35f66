"""Coverage: what counts as one state, and that to look at a run does not change it."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import pytest

from builders.campaigns import settings
from raft_chaos.chaos.exploration.coverage import Coverage, CoverageDriver, _CoveredNode, digest
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.run.nodes.driver import Driver, DriverError
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.nodes.step import StepReport
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.raft.core import Core
from raft_chaos.raft.state.messages import Entry


def run(driver: Driver) -> str:
    return VirtualRun(settings().make_schedule(3), timing=settings().timing, driver=driver).go().trace_sha256


@cache
def covered() -> tuple[Coverage, str]:
    coverage = Coverage()
    return coverage, run(CoverageDriver(MemoryDriver(parts_of(None)), coverage))


def test_a_run_that_is_looked_at_has_the_same_trace() -> None:
    assert covered()[1] == run(MemoryDriver(parts_of(None)))


def test_a_run_has_the_same_states_each_time_in_the_order_of_time() -> None:
    again = Coverage()
    run(CoverageDriver(MemoryDriver(parts_of(None)), again))
    assert list(again.first_us.items()) == list(covered()[0].first_us.items())
    assert len(again.first_us) > 10
    assert list(again.first_us.values()) == sorted(again.first_us.values())


def test_a_digest_is_the_same_on_every_machine() -> None:
    assert digest((12, 96)) == 0xB56915FB04335C13


class Cluster:
    """Nodes as coverage sees them, with the fields of a core that it looks at."""

    def __init__(self, *names: str) -> None:
        self.coverage = Coverage()
        self.nodes = {name: self.coverage.node(name) for name in names}

    def entries(self, name: str, *terms: int, durable: bool = True) -> None:
        seen = self.nodes[name]
        for lsn, term in enumerate(terms, 1):
            seen.last_index = seen.log.append(Entry(term, b"x"), lsn)
        if durable:
            seen.log.mark_durable(len(terms))

    @property
    def state(self) -> tuple[int, ...]:
        return self.coverage.state()


def three() -> Cluster:
    cluster = Cluster("a", "b", "c")
    for name, seen in cluster.nodes.items():
        cluster.entries(name, 1, 1)
        seen.role, seen.term = "follower", 1
    return cluster


def test_nodes_that_exchange_their_parts_are_in_the_same_state() -> None:
    one, other = three(), three()
    one.nodes["a"].role, other.nodes["c"].role = "leader", "leader"
    assert one.state == other.state != three().state


def test_terms_and_indexes_count_only_as_ranks() -> None:
    later = three()
    for name, seen in later.nodes.items():
        later.entries(name, 7, 7)
        seen.term = 7
    assert later.state == three().state


def test_an_earlier_term_a_vote_a_conflict_and_an_unsynced_entry_are_states_of_their_own() -> None:
    behind, voted, conflict, unsynced = three(), three(), three(), three()
    behind.nodes["a"].term = 0
    voted.nodes["a"].voted_for = "b"
    conflict.entries("a", 1)
    conflict.entries("b", 2)
    unsynced.entries("a", 1, durable=False)
    assert len({three().state, behind.state, voted.state, conflict.state, unsynced.state}) == 5


def test_a_node_that_is_down_has_what_its_disk_has() -> None:
    cluster, lost = three(), three()
    cluster.nodes["a"].crashed()
    lost.entries("a", 1, durable=False)
    lost.nodes["a"].crashed()
    assert lost.state == cluster.state


class Node:
    """A node that cuts its log in memory and dies of that."""

    def __init__(self, cluster: Cluster, error: Exception | None) -> None:
        self.name, self.cluster, self.error = "a", cluster, error
        self.first = StepReport([], [], 0, [], 0)
        self.replica = SimpleNamespace(core=self)
        self.log, self.role = cluster.nodes["a"].log, "follower"
        self.current_term, self.commit_index, self.voted_for = 1, 0, None

    def tick(self, now_us: int, failpoint: None) -> StepReport:
        self.log.truncate(1)
        if self.error is not None:
            raise self.error
        return self.first


def test_a_node_that_dies_in_the_middle_of_a_step_is_down() -> None:
    cluster = three()
    node = _CoveredNode(Node(cluster, OSError("no space left")), cluster.coverage, 0)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="no space left"):
        node.tick(1, None)
    assert cluster.nodes["a"].role == "down"
    assert cluster.state  # the log of the dead node is shorter than it was


def test_a_mistake_of_coverage_accuses_no_node() -> None:
    cluster = three()
    node = _CoveredNode(Node(cluster, None), cluster.coverage, 0)  # type: ignore[arg-type]
    node._seen.log = None  # type: ignore[assignment]
    with pytest.raises(DriverError, match="coverage failed"):
        node.tick(1, None)


def test_a_core_has_what_coverage_looks_at() -> None:
    names = ("current_term", "voted_for", "role", "commit_index", "log")
    assert all(name in Core.__init__.__code__.co_names for name in names)
