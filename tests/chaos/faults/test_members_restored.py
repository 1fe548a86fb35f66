"""When all is healed, all nodes vote again: also one whose removal was asked for in vain, and was done later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from raft_chaos.chaos.faults.membership import ASK_US, RESTORE_US, Asked, restore
from raft_chaos.raft.state.configuration import Change, ChangeError, Configuration

NODES = ["n1", "n2", "n3"]


class Cluster:
    """n2 leads from `leads_from_us` on; nobody knows who does before. A learner has caught up at the second try."""

    nodes, leader, is_over = NODES, None, True

    def __init__(self, configuration: Configuration, leads_from_us: int = 0) -> None:
        self.configuration = configuration
        self.now_us = 0
        self.asked: list[tuple[str, str]] = []
        self._leads_from_us = leads_from_us
        self._refusals = 1

    def can(self, capability: type[Any]) -> Any:
        assert isinstance(self, capability)
        return self

    async def wait(self, for_us: int) -> None:
        self.now_us += for_us

    async def change_members(self, node: str, change: Change, within_us: int) -> Asked:
        self.asked.append((node, str(change)))
        if self.now_us < self._leads_from_us:
            self.now_us += ASK_US
            return Asked(False)
        if node != "n2":
            return Asked(False, leader="n2")
        if change.promote and self._refusals:
            self._refusals -= 1
            return Asked(False, "promote n3: it has not caught up yet; try again")
        try:
            self.configuration = change.applied_to(self.configuration, NODES)
        except ChangeError as error:
            return Asked(False, str(error))
        return Asked(True)


def restored(make: Callable[[], Cluster]) -> tuple[bool, Cluster]:
    cluster = make()
    return asyncio.run(restore(cluster)), cluster


def test_a_node_that_was_removed_after_all_votes_again() -> None:
    done, cluster = restored(lambda: Cluster(Configuration(("n1", "n2"))))
    assert done
    assert cluster.configuration == Configuration(("n1", "n2", "n3"))
    assert cluster.asked[0][0] == "n1"
    assert {node for node, _ in cluster.asked[1:]} == {"n2"}


def test_a_learner_votes_again() -> None:
    done, cluster = restored(lambda: Cluster(Configuration(("n1", "n2"), (), ("n3",))))
    assert done
    assert cluster.configuration == Configuration(("n1", "n2", "n3"))


def test_it_asks_one_node_after_the_other_until_one_leads() -> None:
    done, cluster = restored(lambda: Cluster(Configuration(("n1", "n2")), RESTORE_US // 2))
    assert done
    assert [node for node, _ in cluster.asked[:4]] == ["n1", "n2", "n3", "n1"]


def test_it_gives_up_if_nobody_ever_leads() -> None:
    done, cluster = restored(lambda: Cluster(Configuration(("n1", "n2")), 10 * RESTORE_US))
    assert not done
    assert RESTORE_US <= cluster.now_us < 3 * RESTORE_US


def test_where_timers_are_slow_it_asks_for_longer() -> None:
    late = Cluster(Configuration(("n1", "n2")), 10 * RESTORE_US)
    assert not asyncio.run(restore(late, 5 * RESTORE_US))
    assert 5 * RESTORE_US <= late.now_us < 8 * RESTORE_US
