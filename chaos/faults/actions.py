"""What a fault does, as data: one type for each kind, the file's "type" being its tag.

Nodes are named by id, or by what they are when the fault fires: "leader", "others" (in a grudge: all nodes but the
leader) and "voter" (in a fault anchored to "vote_granted": the node that granted this vote). `restarts` and `keeps`
put nodes in their place for a kill, `chaos.faults.grudge.resolve` does for a grudge.

Which world can do which kind stands in `chaos.schedule.config`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import msgspec

Grudge: TypeAlias = dict[str, list[str]]
"""Who does not hear whom: receiver -> the senders whose frames it is denied. May name "leader" and "others"."""

Shape: TypeAlias = Literal["halves", "one", "majority", "majorities_ring", "bridge", "isolate_leader", "one_way"]

Failpoint: TypeAlias = Literal[
    "before_report", "before_send", "mid_send", "before_write", "before_apply", "before_answer", "after_sync"
]
"""A point within a node's step: what stands before it in the step is done, what stands after it never happens."""

LEADER = "leader"
OTHERS = "others"
VOTER = "voter"
PLACEHOLDERS = (LEADER, OTHERS, VOTER)

WHOLE_PERMILLE = 1000


class Kill(msgspec.Struct, frozen=True, tag="kill", tag_field="type", omit_defaults=True, forbid_unknown_fields=True):
    """SIGKILL to all of `nodes` at once; node i of them starts again `restart_after_us[i]` later.

    Of the unsynced bytes of node i, the first `keep_permille[i]` thousandths reach its disk (rounded down: a record may
    be torn at any byte); an empty list keeps none. With a `failpoint` a node is not killed at once, but when its next
    step reaches that point. "leader" may turn out to be a node that is also named by its id: the first mention counts.
    """

    nodes: list[str]
    restart_after_us: list[int]
    keep_permille: list[int] = []
    failpoint: Failpoint | None = None


class Pause(msgspec.Struct, frozen=True, tag="pause", tag_field="type", forbid_unknown_fields=True):
    """SIGSTOP to `nodes`, SIGCONT when the fault ends."""

    nodes: list[str]


class SlowSync(msgspec.Struct, frozen=True, tag="slow_sync", tag_field="type", forbid_unknown_fields=True):
    """Each sync of `nodes` takes `min_us` to `max_us` longer (drawn by the node from its own stream)."""

    nodes: list[str]
    min_us: int
    max_us: int


class Partition(msgspec.Struct, frozen=True, tag="partition", tag_field="type", forbid_unknown_fields=True):
    """Frames are held back along `grudge`, for good. `shape` says what it was drawn as."""

    shape: Shape
    grudge: Grudge


class Network(msgspec.Struct, frozen=True, tag="network", tag_field="type", forbid_unknown_fields=True):
    """Frames on the directed links into and out of `nodes` suffer: probabilities 0 to 1, delays in µs.

    A delay is uniform from `delay_min_us` to `delay_max_us`, and on top of it exponential with mean `delay_mean_us`.
    """

    nodes: list[str]
    delay_min_us: int = 0
    delay_max_us: int = 0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_mean_us: int = 0


class Clog(msgspec.Struct, frozen=True, tag="clog", tag_field="type", forbid_unknown_fields=True):
    """Frames along `grudge` are held, and all released at once when the fault ends (madsim's clogged links)."""

    grudge: Grudge


class Reset(msgspec.Struct, frozen=True, tag="reset", tag_field="type", forbid_unknown_fields=True):
    """The connections of all links into and out of `nodes` break at that moment; the fault has no duration.

    Each frame in flight is delivered at once with probability `delivered`, else lost.
    """

    nodes: list[str]
    delivered: float


class Clock(msgspec.Struct, frozen=True, tag="clock", tag_field="type", forbid_unknown_fields=True):
    """The clocks of `nodes` jump forward by `jump_us`, then run `rate_ppm` millionths too fast (negative: too slow).

    When the fault ends they run at true speed again; what they are ahead or behind by then, they stay.
    """

    nodes: list[str]
    rate_ppm: int
    jump_us: int


Action: TypeAlias = Kill | Pause | SlowSync | Partition | Network | Clog | Reset | Clock


FaultKind: TypeAlias = Literal["kill", "pause", "slow_sync", "partition", "network", "clog", "reset", "clock"]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

LIVE_KINDS: tuple[FaultKind, ...] = ("kill", "pause", "slow_sync", "partition", "network")
"""What real processes with real clocks, behind a proxy, can be made to suffer."""


def kind_of(action: Action) -> str:
    """The action's kind, as it stands in the file: "kill", "partition"."""
    return str(type(action).__struct_config__.tag)


def restarts(kill: Kill, leader: str | None, voter: str | None) -> dict[str, int]:
    """Whom `kill` hits, with "leader" and "voter" replaced, and after how many µs each starts again, in that order.

    A node mentioned twice counts where it is mentioned first. Empty while a node that is needed is not known.
    """
    return _for_each(kill, kill.restart_after_us, leader, voter)


def keeps(kill: Kill, leader: str | None, voter: str | None) -> dict[str, int]:
    """Whom `kill` hits, as in `restarts`, and how many thousandths of its unsynced bytes reach the disk of each."""
    return _for_each(kill, kill.keep_permille or [0] * len(kill.nodes), leader, voter)


def _for_each(kill: Kill, values: Sequence[int], leader: str | None, voter: str | None) -> dict[str, int]:
    hit: dict[str, int] = {}
    for name, value in zip(kill.nodes, values, strict=True):
        node = {LEADER: leader, VOTER: voter}.get(name, name)
        if node is None:
            return {}
        hit.setdefault(node, value)
    return hit
