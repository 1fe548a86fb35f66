"""Faults on links between nodes: partitions, which drop frames, and clogs, which hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import ClassVar, NamedTuple, Self

from raft_chaos.chaos.faults import grudge as grudges
from raft_chaos.chaos.faults.abilities import Ability
from raft_chaos.chaos.faults.action import Room, Strength, some, strong, sums
from raft_chaos.chaos.faults.domain import (
    Chosen,
    Domain,
    Drawn,
    OneOf,
    Several,
    built,
)
from raft_chaos.chaos.faults.grudge import SHAPES, Grudge, Shape, cut_links, majority_of, resolve
from raft_chaos.chaos.faults.links import LINKS, Clogs, Link, LinkCounters, Links, LinkState, OnLinks, no_members
from raft_chaos.chaos.faults.names import LEADER, OTHERS, tally
from raft_chaos.chaos.faults.strike import Effect, Strike

# ---- partition ---------------------------------------------------------------------------------------------------


class ShapesStrength(Strength, frozen=True):
    """The shapes that partitions may have."""

    shapes: tuple[Shape, ...] = ()


class Partition(OnLinks, frozen=True, tag="partition"):
    """Drops frames along `grudge`. `shape` names the shape that was drawn."""

    shape: Shape
    grudge: Grudge

    needs: ClassVar[type] = Links
    late_frames: ClassVar[bool] = False
    about: ClassVar[str] = (
        f"Frames from the senders of `grudge` to its receivers are dropped. Drawn as {', '.join(SHAPES)}"
    )
    seen: ClassVar[str] = "The network counts frames that it held back, in each direction of the cut"
    asks: ClassVar[tuple[Ability, ...]] = ("cut",)
    odds: ClassVar[float] = 1.0
    leaves_behind: ClassVar[bool] = True

    @property
    def denied(self) -> Grudge:
        return self.grudge

    @property
    def cuts_off_leader(self) -> bool:
        return self.shape == "isolate_leader"

    @classmethod
    def plain(cls, rng: Random, timeout_us: int) -> ShapesStrength:
        return ShapesStrength(tuple(some(rng, SHAPES, rng.randint(2, len(SHAPES)))))

    @classmethod
    def wide(cls, rng: Random, timeout_us: int) -> ShapesStrength:
        """One-way cuts and cuts of both directions are on or off independently of each other."""
        one_way, both_ways = rng.random() < 0.6, rng.random() < 0.7
        symmetric = [shape for shape in SHAPES if shape != "one_way"]
        drawn = some(rng, symmetric, rng.randint(1, len(symmetric)))
        return ShapesStrength((*(drawn if both_ways else ()), *(("one_way",) if one_way else ())))

    @classmethod
    def often(cls, rng: Random, strength: ShapesStrength) -> int:
        return rng.choice((1, 2)) if strength.shapes else 0

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        if room.most_us < 3 * room.timeout_us:
            return None  # too short for the nodes to notice: some links would carry no frame
        shape = room.rng.choice(room.strength.shapes)
        partition = cls(shape, grudges.make(shape, room.nodes, room.rng))
        return partition if partition.disturbed(len(room.nodes)) <= room.spare else None

    def disturbed(self, count: int) -> int:
        return 1 if self.shape in ("one", "isolate_leader", "one_way") else count - majority_of(count)

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        first: list[Shape] = ["isolate_leader"]
        shapes = OneOf([*first, *(shape for shape in SHAPES if shape not in first)])
        return Chosen(shapes, lambda shape: Drawn(lambda rng: cls(shape, grudges.make(shape, list(nodes), rng))))

    async def strike(self, at: Strike) -> None:
        world, grudge = at.can(Links), resolve(self.grudge, at.nodes, at.roles)
        links = cut_links(grudge)
        at.begin(sorted({node for link in links for node in link}))
        before, outsiders = world.link_counters(), at.outsiders
        world.set_links(at.lay(LINKS, dict.fromkeys(links, LinkState(cut=True))))
        told = ", ".join(f"{node} does not hear {' '.join(grudge[node])}" for node in grudge)
        at.injected(f"{self.shape}: {told}", links=links)
        await at.hold(at.duration_us)
        world.set_links(at.lift(LINKS))
        on = {link: _since(before[link], counters) for link, counters in world.link_counters().items()}
        apart = [node for node in outsiders if node in at.outsiders]
        seen = _cut(grudge, {link: on[link] for link in links}, world, apart)
        if not seen.effective and not seen.excuse and _is_beside(at.leader, on, links):
            seen = Effect(False, seen.effect, "nothing was sent there, while frames passed elsewhere")
        at.healed(seen)

    def isolated(self, leader: str | None) -> str | None:
        return leader if self.shape == "isolate_leader" else None

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        yield f"partition: {tally(partition.shape for partition, _ in faults)}"


class _OnLink(NamedTuple):
    """The frames on a link during a cut: those that the cut held back, and all others that were sent."""

    held: int
    others: int


def _since(before: LinkCounters, after: LinkCounters) -> _OnLink:
    return _OnLink(
        after.cut - before.cut,
        after.forwarded - before.forwarded + after.lost - before.lost + after.clogged - before.clogged,
    )


def _cut(
    grudge: Mapping[str, Sequence[str]], on: Mapping[Link, _OnLink], world: Links, outsiders: Sequence[str]
) -> Effect:
    """The effect, given the frames on each link of the grudge. Each direction must have held one back.

    A direction may be silent if nothing was sent in it: without a leader, followers send nothing until one of them
    stands for election. And without heartbeats it may be silent if the opposite one is cut as well, and held something
    back: who is not heard gets no answer, and there is nothing else to hold back.

    A direction is silent, too, if all of its links begin or end at `outsiders`, which were no members of the cluster
    (§6). A cut of such links alone has no effect, and nothing to act on.
    """
    silent, unexplained, held = [], False, sum(link.held for link in on.values())
    for senders, receivers in _directions(grudge):
        links = [on[sender, receiver] for sender in senders for receiver in receivers]
        if any(link.held for link in links):
            continue
        silent.append(f"{' '.join(senders)} > {' '.join(receivers)}")
        opposite = [on.get((receiver, sender)) for sender in senders for receiver in receivers]
        quiet = held > 0 and not any(link.others for link in links)
        unanswered = not world.heartbeats and any(link is not None and link.held for link in opposite)
        apart = all(sender in outsiders or receiver in outsiders for sender in senders for receiver in receivers)
        unexplained = unexplained or not (quiet or unanswered or apart)
    told = f"{held} {world.traffic.unit} held back" + (f", none {'; '.join(silent)}" if silent else "")
    return Effect(held > 0 and not unexplained, told, "" if held or unexplained else no_members(outsiders))


def _is_beside(leader: str | None, on: Mapping[Link, _OnLink], cut: Sequence[Link]) -> bool:
    """Whether the nodes at its ends sent each other nothing, while frames passed elsewhere. It struck while nobody led,
    and another node was elected: followers need not talk to each other."""
    quiet = not any(on[link].held or on[link].others for link in cut)
    elsewhere = any(seen.others for link, seen in on.items() if link not in cut)
    return quiet and elsewhere and not any(leader in link for link in cut)


def _directions(grudge: Mapping[str, Sequence[str]]) -> list[tuple[list[str], list[str]]]:
    """(senders, receivers) of each direction of a cut: receivers that are denied the same senders form one."""
    directions: dict[tuple[str, ...], list[str]] = {}
    for receiver, senders in grudge.items():
        directions.setdefault(tuple(sorted(senders)), []).append(receiver)
    return [(list(senders), receivers) for senders, receivers in directions.items()]


# ---- clog --------------------------------------------------------------------------------------------------------


class ClogStrength(Strength, frozen=True):
    """How long (µs) a link stays clogged at most."""

    clog_us: int = 0


class Clog(OnLinks, frozen=True, tag="clog"):
    """Holds frames along `grudge`, and releases all at once when the fault ends (madsim's clogged links)."""

    grudge: Grudge

    needs: ClassVar[type] = Clogs
    late_frames: ClassVar[bool] = False
    about: ClassVar[str] = (
        "Frames from the senders of `grudge` to its receivers are held, and all released when the fault ends"
    )
    seen: ClassVar[str] = "The network counts frames that it held"
    asks: ClassVar[tuple[Ability, ...]] = ("clog",)

    @property
    def denied(self) -> Grudge:
        return self.grudge

    @classmethod
    def plain(cls, rng: Random, timeout_us: int) -> ClogStrength:
        return ClogStrength(4 * timeout_us)

    @classmethod
    def wide(cls, rng: Random, timeout_us: int) -> ClogStrength:
        return ClogStrength(round(strong(rng, 16 * timeout_us)))

    @classmethod
    def often(cls, rng: Random, strength: ClogStrength) -> int:
        return 1 if strength.clog_us else 0

    @classmethod
    def draw(cls, room: Room) -> Self | None:
        """One link to or from the leader, since only these always carry frames, or all links of one node in some
        direction.

        After a clog of a whole election, the old leader's messages reach a node that has voted for the new leader.
        """
        rng, nodes = room.rng, room.nodes
        style = rng.choice(("link", "leader", "one_way", "one"))
        if style == "link":
            node = rng.choice(nodes)
            return cls({node: [LEADER]} if rng.random() < 0.5 else {LEADER: [node]})
        if style == "leader":
            return cls({LEADER: [OTHERS]} if rng.random() < 0.5 else {OTHERS: [LEADER]})
        return cls(grudges.make("one_way" if style == "one_way" else "one", nodes, rng))

    def drawn_us(self, room: Room) -> int:
        longest_us = min(room.strength.clog_us, room.most_us)
        return room.rng.randint(min(room.timeout_us // 2, longest_us), longest_us)

    def disturbed(self, count: int) -> int:
        return 1

    @classmethod
    def domain(cls, nodes: Sequence[str], *, longest_us: int, at_vote: bool) -> Domain:
        """Any links, at least one."""
        links = [(receiver, sender) for receiver in nodes for sender in nodes if sender != receiver]

        def of(chosen: list[Link]) -> Clog:
            held = {node: [sender for receiver, sender in chosen if receiver == node] for node in nodes}
            return cls({receiver: senders for receiver, senders in held.items() if senders})

        return built(of, Several(OneOf(links), 1, len(links)))

    async def strike(self, at: Strike) -> None:
        world, grudge = at.can(Clogs), resolve(self.grudge, at.nodes, at.roles)
        links = cut_links(grudge)
        at.begin(sorted({node for link in links for node in link}))
        before = {link: counters for link, counters in world.clog_counters().items() if link in links}
        world.set_links(at.lay(LINKS, dict.fromkeys(links, LinkState(clogged=True))))
        told = ", ".join(f"{node} waits for {' '.join(grudge[node])}" for node in grudge)
        at.injected(f"clog: {told}", links=links)
        await at.hold(at.duration_us)
        world.set_links(at.lift(LINKS))
        after = world.clog_counters()
        held, passed = sums(before, after, "clogged"), sums(before, after, "forwarded")
        excuse = "nothing was sent" if held + passed == 0 else ""
        at.healed(Effect(held > 0, f"{held} {world.traffic.unit} held and let go at once", excuse))

    @classmethod
    def summary(cls, faults: Sequence[tuple[Self, int]], nodes: Sequence[str]) -> Iterator[str]:
        yield f"clog: {len(faults)}, up to {max(lasts_us for _, lasts_us in faults) / 1e6:.1f} s"
