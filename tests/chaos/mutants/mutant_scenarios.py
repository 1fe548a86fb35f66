"""A short run for each mutant that shows its mistake: the inputs are the same for the mutant and the unmodified core.

A scenario makes a cluster of the given parts, drives it, and returns what was observed. It asserts nothing: where the
unmodified core behaves differently (refuses a vote, keeps an entry), the same steps just have another result.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import TypeAlias

import command_scenarios
import election_scenarios
import membership_scenarios
import old_entries_scenarios
import read_scenarios
import replication_scenarios
import session_scenarios
import snapshot_scenarios
import storage_scenarios
from scenario_steps import Observed

from raft_chaos.raft.server.parts import Parts

Scenario: TypeAlias = Callable[[Parts], Observed]

FAMILIES = (
    election_scenarios,
    replication_scenarios,
    command_scenarios,
    membership_scenarios,
    snapshot_scenarios,
    read_scenarios,
    storage_scenarios,
    old_entries_scenarios,
    session_scenarios,
)
SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario for scenario in chain.from_iterable(family.SCENARIOS for family in FAMILIES)
}
