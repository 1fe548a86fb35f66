"""A schedule without one part: a kind of fault, or an episode. Everything else stays as it was.

So two runs of one seed differ in this part alone: if the run without it fails as well, the part is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from raft_chaos.chaos.schedule.data import Fault, Schedule
from raft_chaos.chaos.schedule.episodes import CHANCE
from raft_chaos.chaos.schedule.follow import without_orphans
from raft_chaos.chaos.schedule.steered.catalogue import ALL

EPISODES: tuple[str, ...] = (*CHANCE, *(episode.name for episode in ALL))
"""The names of all episodes. No kind of fault has such a name."""


def parts_in(schedule: Schedule, episodes: Mapping[str, str]) -> list[str]:
    """The kinds of faults and the episodes that it has. `episodes` as from `generate.episodes_of`."""
    return list(dict.fromkeys(part for fault in schedule.faults for part in _parts(fault, episodes)))


def left_out(schedule: Schedule, episodes: Mapping[str, str], part: str) -> Schedule:
    """The schedule without the faults of this part, and without those that follow them. It requires no event."""
    kept = [fault for fault in schedule.faults if part not in _parts(fault, episodes)]
    return replace(schedule, header=replace(schedule.header, required=[]), faults=without_orphans(kept))


def _parts(fault: Fault, episodes: Mapping[str, str]) -> list[str]:
    name = episodes.get(fault.id, "")
    return [fault.action.kind(), *([name] if name else [])]
