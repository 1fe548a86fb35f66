"""The options that one seed draws for its whole run: which kinds of faults it has, and how strong they may get.

Swarm testing (Groce et al. 2012): a run with fewer kinds of faults has more of each, and finds failures that a run with
all kinds hides. Every option is off in some seeds.

`draw` uses one of two ranges. A plain schedule has the moderate range, which a cluster of real processes can tolerate.
A schedule with `ScheduleConfig.swarm` has the wide range: it also draws the number of nodes, the simulated network and
disk, and faults that no cluster tolerates for long, so they come as temporary background faults (`draw_faults`).

Each kind of fault defines its own strength (`plain`, `wide`) and frequency (`odds`, `often`). A seed draws all options,
used or not, so a smaller configuration shifts no other draw. The first kinds share one stream, in the order of `SHARED`
and of the code below: saved seeds depend on it. Each later kind has streams of its own, here and in `draw_faults`, so a
seed keeps the faults that it had before.
"""

from __future__ import annotations

import math
from collections import Counter
from random import Random
from typing import Any, Literal

import msgspec

from raft_chaos.chaos.faults.action import Strength
from raft_chaos.chaos.faults.catalogue import KINDS, FaultKind
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import SimModel
from raft_chaos.chaos.schedule.steered.catalogue import HELD, OLD_LEASE, OUTAGES, STEERED, chosen
from raft_chaos.chaos.schedule.steered.plot import Steered
from raft_chaos.chaos.schedule.streams import stream
from raft_chaos.raft.state.features import FLAGS, NONE, Features

CLUSTER_SIZES, EVEN_SIZES = (3, 5, 7), (4, 6)
EVEN_SHARE = 0.25
"""The share of the seeds of a swarm with an even number of nodes: half of them are no majority then."""
STEERED_SHARE, PLAIN_STEERED_SHARE = 0.3, 0.2
"""The share of the seeds that have steered episodes in place of those of chance, in a swarm and without."""
EARLY_SHARE = 0.2
"""The share of the seeds of a swarm that have no warmup."""
QUIET_SHARE = 0.15
"""The share of the seeds of a swarm in which clients are silent for a while."""
STILL_SHARE = 0.3
"""The share of the seeds of a swarm of our own Raft in which clients ask for nothing once all is healed."""
WARMUP_TIMEOUTS = 5
"""A warmup of so many election timeouts has time for many operations after the first election."""
OUTAGE_SHARES = {"lost_cache": 0.12, "cut_snapshots": 0.9}
"""The shares of the seeds of a swarm with these episodes, of those that are neither steered nor quiet, and whose nodes
take snapshots as often as `OFTEN` for those of snapshots."""
OFTEN = 40
LOST_TRANSFER_SHARE = 0.2
"""The share of the seeds of a swarm in which a transfer of the leadership is lost at the end."""
CLOCKS: tuple[FaultKind, ...] = ("clock", "strobe")
OLD_LEASE_SHARE = 0.5
"""Of the seeds of a swarm whose nodes have leases, the share in which a leader has an old one."""
HELD_SHARE = 0.15
"""Of the other seeds of a swarm without steered episodes, the share in which a kind of message is held until another
node leads."""
REPEATS_SHARE = 0.3
"""The share of the seeds in which commands of clients arrive again, late."""
FEATURE_SHARE = 0.4
"""The share of the seeds whose nodes have a feature."""
JOINT_SHARE = 0.6
"""The share of the seeds whose members change by joint consensus, of those whose members may change."""
SOME_VOTE_SHARE = 0.4
"""The share of the seeds of a swarm in which only some nodes vote at first, of those whose members may change."""
FIRST_VOTERS = (3, 4)
SNAPSHOT_EVERY_RANGE = (5, 200)
"""After how many entries a snapshot is taken (log scale), in a seed that has snapshots: few, so that there are many."""
CACHE_BYTES_RANGE = (300, 10_000)
"""How much of the log stays in memory (log scale), in a seed with a bound: few entries, so that many are read back."""

IN_FLIGHT_SHARE, IN_FLIGHT_RANGE = 0.2, (100, 3_000)
"""The share of the seeds whose leaders have few bytes of commands on their way to a follower, and how many (log scale):
a few commands, so that a window which does not open again is soon closed."""

WAITING_SHARE = 0.12
"""The share of the seeds whose leaders let few requests wait: as many as there are clients, or up to half as many more.
So a leader that commits refuses none, and one that is cut off refuses some before clients give up."""

SHARED: tuple[FaultKind, ...] = ("kill", "partition", "pause", "slow_sync", "network", "clog", "reset", "clock")
LATER: tuple[FaultKind, ...] = tuple(kind for kind in KINDS if kind not in SHARED)
"""The kinds that are newer than the first saved seeds."""


def shared(config: ScheduleConfig) -> tuple[FaultKind, ...]:
    """The kinds whose single faults come from the shared stream. Plain schedules without clogs are those of our own
    Raft in real time: there `clock` is newer than the first saved seeds."""
    of_real_time = not config.swarm and "clog" not in config.faults
    return tuple(kind for kind in SHARED if not (of_real_time and kind == "clock"))


class Swarm(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one seed. Zero, or empty, is off.

    `kinds` are those of single faults; a kind that occurs twice is twice as frequent. `strengths` say how strong each
    kind is. `churn` is the number of leaders in a row that fail soon after their election, and `divided` how often an
    entry stays on a minority for later leaders to find. `steered` are the episodes that replace these (`steered`).
    With `early` the faults begin before the first election, with `repeats` clients' commands arrive again, late, and
    with `quiet` clients are silent for a while after a leader's death. With `still` they ask for nothing once all is
    healed, so nodes catch up and learn what is committed without new commands. With `lost_transfer` the last thing that
    happens is a transfer of the leadership whose target does not hear of it. `outages` are the episodes of lost power
    that come on top.
    `model` is the simulated network and disk without faults, and `features` are those of the nodes.
    """

    nodes: int
    kinds: tuple[FaultKind, ...]
    fault_interval_s: float
    strengths: dict[FaultKind, Strength]
    model: SimModel = SimModel()
    churn: int = 0
    divided: int = 0
    steered: tuple[str, ...] = ()
    early: bool = False
    repeats: bool = False
    quiet: bool = False
    still: bool = False
    lost_transfer: bool = False
    outages: tuple[str, ...] = ()
    features: Features = NONE

    def of(self, kind: FaultKind) -> Any:
        """How strong this kind is: its own `Strength`."""
        return self.strengths[kind]

    def flat(self) -> dict[str, float | int | str]:
        """The options by name, for the header of a schedule; a list of names becomes one text, "kill 3x pause"."""
        often = Counter(self.kinds)
        options: dict[str, float | int | str] = {
            "nodes": self.nodes,
            "kinds": " ".join(f"{kind} {times}x" if times > 1 else kind for kind, times in often.items()),
            "fault_interval_s": self.fault_interval_s,
        }
        for part in (*self.strengths.values(), self.model):
            for field in part.__struct_fields__:
                value = getattr(part, field)
                options[field] = " ".join(value) if isinstance(value, tuple) else value
        return options | {
            "churn": self.churn,
            "divided": self.divided,
            "steered": " ".join(self.steered),
            "early": int(self.early),
            "repeats": int(self.repeats),
            "quiet": int(self.quiet),
            "still": int(self.still),
            "lost_transfer": int(self.lost_transfer),
            "outages": " ".join(self.outages),
            "features": " ".join(self.features.names),
        }


def draw(seed: int, config: ScheduleConfig) -> Swarm:
    """The options of this seed: a pure function, with streams of its own."""
    if config.swarm:
        return _wide(seed, stream(seed, "swarm"), config)
    return _moderate(seed, stream(seed, "faults/swarm"), config)


# ---- the moderate range ------------------------------------------------------------------------------------------


def _moderate(seed: int, shared: Random, config: ScheduleConfig) -> Swarm:
    """The kinds that change leaders are always present, and some of the others."""
    timeout_us = config.election_timeout_us_max
    first, virtual = SHARED[:5], SHARED[5:]
    present = {kind: shared.random() < KINDS[kind].odds for kind in first}
    strengths = {kind: KINDS[kind].plain(shared, timeout_us) for kind in first}
    present |= {kind: shared.random() < KINDS[kind].odds for kind in virtual}
    strengths |= {kind: KINDS[kind].plain(shared, timeout_us) for kind in virtual}
    for kind in LATER:
        rng = stream(seed, f"faults/swarm/{kind}")
        present[kind], strengths[kind] = rng.random() < KINDS[kind].odds, KINDS[kind].plain(rng, timeout_us)
    features = _features(seed, config)
    return Swarm(
        nodes=config.nodes,
        kinds=tuple(
            kind
            for kind, there in present.items()
            for _ in range(KINDS[kind].plain_times)
            if there and kind in config.faults and KINDS[kind].exists_with(features)
        ),
        fault_interval_s=config.fault_interval_s,
        strengths=strengths,
        steered=chosen(stream(seed, "faults/swarm/steered"), PLAIN_STEERED_SHARE, config.faults),
        repeats=stream(seed, "workload/repeats").random() < REPEATS_SHARE,
        features=features,
    )


# ---- the wide range ----------------------------------------------------------------------------------------------


def _wide(seed: int, shared: Random, config: ScheduleConfig) -> Swarm:
    """Anything from a calm network with a few kills to all troubles at once. Times are fractions of the timeout."""
    timeout_us = config.election_timeout_us_max
    nodes, even = shared.choice(CLUSTER_SIZES), stream(seed, "swarm/even size")
    if even.random() < EVEN_SHARE:
        nodes = even.choice(EVEN_SIZES)
    strengths: dict[FaultKind, Strength] = {
        kind: KINDS[kind].wide(shared, timeout_us)
        for kind in ("pause", "slow_sync", "network", "partition", "clog", "reset", "clock")
    }
    later = {kind: stream(seed, f"swarm/{kind}") for kind in LATER}
    strengths |= {kind: KINDS[kind].wide(rng, timeout_us) for kind, rng in later.items()}
    strengths["kill"] = Strength()  # drawn below; the frequency of kills does not depend on it
    often = {kind: KINDS[kind].often(later.get(kind, shared), strengths[kind]) for kind in KINDS}
    interval_s = round(config.fault_interval_s * math.exp(shared.uniform(math.log(0.4), math.log(2.5))), 3)
    strengths["kill"] = KINDS["kill"].wide(shared, timeout_us)
    plain = SimModel()
    latency_us = _between(shared, plain.latency_min_us, plain.latency_max_us, timeout_us // 30)
    sync_us = _between(shared, plain.sync_min_us, plain.sync_max_us, timeout_us // 15)
    churn, divided = shared.choice(((0, 0), (4, 0), (8, 0), (0, 2), (0, 3)))
    entries_per_message = shared.choice((0, 1, 1, 2) if divided else (0, 0, 1, 2, 5))
    steered = chosen(stream(seed, "swarm/episodes"), STEERED_SHARE, config.faults)
    early = "kill" in config.faults and stream(seed, "swarm/first election").random() < EARLY_SHARE
    features = _features(seed, config)
    if has_old_leases := not steered and _has_old_leases(seed, config, features):
        steered = tuple(OLD_LEASE)
    elif not steered and stream(seed, "swarm/held").random() < HELD_SHARE:
        steered = tuple(name for name, one in HELD.items() if _may_have(one, config, features))
    if any(STEERED[name].one_entry_a_message for name in steered):
        entries_per_message = 1
    leaders_fall = "kill" in config.faults and "partition" in config.faults and not steered
    quiet = "kill" in config.faults and stream(seed, "swarm/quiet").random() < QUIET_SHARE
    return Swarm(
        nodes=config.nodes or nodes,
        kinds=tuple(
            kind
            for kind, times in often.items()
            for _ in range(times)
            # A lease goes by clocks: where they jump, there are no reads by one (`leases`).
            if kind in config.faults and KINDS[kind].exists_with(features) and not (has_old_leases and kind in CLOCKS)
        ),
        fault_interval_s=interval_s,
        strengths={kind: strengths[kind] if kind in config.faults else type(strengths[kind])() for kind in KINDS},
        model=SimModel(*latency_us, *sync_us, entries_per_message),
        churn=churn if leaders_fall else 0,
        divided=divided if leaders_fall else 0,
        steered=steered,
        repeats=stream(seed, "workload/repeats").random() < REPEATS_SHARE,
        quiet=quiet,
        still=_is_still(seed, config, early),
        lost_transfer={"partition", "transfer"} <= {*config.faults}
        and stream(seed, "swarm/lost_transfer").random() < LOST_TRANSFER_SHARE,
        outages=() if steered or quiet else _outages(seed, config, features),
        early=early,
        features=features,
    )


def _is_still(seed: int, config: ScheduleConfig, early: bool) -> bool:
    """Whether clients ask for nothing after the healing. Then only a warmup shows that the cluster serves anything."""
    has_warmup = not early and config.warmup_s * 1e6 >= WARMUP_TIMEOUTS * config.election_timeout_us_max
    return config.can is None and has_warmup and stream(seed, "swarm/still").random() < STILL_SHARE


def _has_old_leases(seed: int, config: ScheduleConfig, features: Features) -> bool:
    """Whether its episodes are those of leaders that believe in an old lease."""
    kinds = {kind for episode in OLD_LEASE.values() for kind in episode.kinds}
    there = stream(seed, "swarm/old_lease").random() < OLD_LEASE_SHARE
    return there and features.lease_reads and kinds <= {*config.faults}


def _may_have(episode: Steered, config: ScheduleConfig, features: Features) -> bool:
    return episode.exists_with(features) and {*episode.kinds} <= {*config.faults}


def _outages(seed: int, config: ScheduleConfig, features: Features) -> tuple[str, ...]:
    """Its episodes of lost power. Where nodes take few snapshots, a kill waits for one in vain."""
    return tuple(
        name
        for name, episode in OUTAGES.items()
        if stream(seed, f"swarm/{name}").random() < OUTAGE_SHARES[name]
        and _may_have(episode, config, features)
        and (not episode.features or features.snapshot_every <= OFTEN)
    )


def _features(seed: int, config: ScheduleConfig) -> Features:
    """Those that the configuration names; else the seed draws each by itself. Only our own Raft has any."""
    if config.can is not None:
        return NONE
    if config.features is not None:
        return Features.of(config.features)
    flags = [name for name in FLAGS if stream(seed, f"features/{name}").random() < FEATURE_SHARE]
    drawn = Features.of(name for name in flags if name != "lease_reads")
    rng = stream(seed, "features/membership")
    if (rng.random() < FEATURE_SHARE and "membership" in config.faults) or config.faults == ("membership",):
        mode: Literal["joint", "single"] = "joint" if rng.random() < JOINT_SHARE else "single"
        drawn = msgspec.structs.replace(drawn, check_quorum=True, membership=mode, first_voters=_first(seed, config))
    return msgspec.structs.replace(
        drawn,
        lease_reads="lease_reads" in flags and drawn.check_quorum,
        snapshot_every=_number(stream(seed, "features/snapshot_every"), SNAPSHOT_EVERY_RANGE),
        cache_bytes=_number(stream(seed, "features/cache_bytes"), CACHE_BYTES_RANGE),
        max_sessions=_number(stream(seed, "features/max_sessions"), (max(1, config.clients - 1), 2 * config.clients)),
        max_bytes_in_flight=_number(stream(seed, "features/max_bytes_in_flight"), IN_FLIGHT_RANGE, IN_FLIGHT_SHARE),
        max_waiting=_number(
            stream(seed, "features/waiting"), (max(1, config.clients), max(1, 3 * config.clients // 2)), WAITING_SHARE
        ),
    )


def _first(seed: int, config: ScheduleConfig) -> int:
    """How many nodes of a swarm are members when the cluster begins; 0, or more than there are: all."""
    rng = stream(seed, "features/first_voters")
    there, voters = rng.random() < SOME_VOTE_SHARE, rng.choice(FIRST_VOTERS)
    return voters if there and config.swarm else 0


def _number(rng: Random, between: tuple[int, int], share: float = FEATURE_SHARE) -> int:
    """A number of this range (log scale) in some seeds, and 0 in the others."""
    least, most = between
    return round(least * (most / least) ** rng.random()) if rng.random() < share else 0


def _between(rng: Random, least_us: int, most_us: int, slow_us: int) -> tuple[int, int]:
    """The plain range of the model, or a slower one up to `slow_us`."""
    slow, high_us = rng.random() < 0.5, rng.randint(most_us, max(most_us, slow_us))
    low_us = rng.randint(least_us, high_us)
    return (low_us, high_us) if slow else (least_us, most_us)
