"""hypothesis strategies for timings, faults, client operations and whole schedules.

    @given(schedules(kinds=("kill", "partition")))
    def test_no_write_is_lost(schedule): ...

Every drawn value is valid: `check_schedule` accepts it, and so does every world that has these kinds of faults. Values
shrink towards few and early faults and operations, at n1.

Times are integers in µs from the start of the run, drawn in whole ms. Nodes are n1, n2, ..., clients c0, c1, ...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import replace

try:
    from hypothesis import strategies as st
    from hypothesis.strategies import SearchStrategy
except ImportError as error:
    raise ImportError(
        "raft_chaos.chaos.testing.strategies needs hypothesis, which is not installed: "
        "pip install 'raft-chaos[hypothesis]'"
    ) from error

from raft_chaos.chaos.faults.catalogue import KINDS, VIRTUAL_KINDS, FaultKind
from raft_chaos.chaos.faults.domain import MS, Built, Chosen, Domain, Drawn, OneOf, Several, Whole, range_us
from raft_chaos.chaos.schedule.config import LEAST_TIMEOUTS, MOST_NODES, ScheduleConfig
from raft_chaos.chaos.schedule.data import IN_EVERY_CLUSTER, Fault, Header, Operation, Schedule, SimModel, When
from raft_chaos.invariants.history import OpFunction
from raft_chaos.raft.state.features import MEMBERSHIP, Features
from raft_chaos.raft.state.timing import Timing

__all__ = ["ClusterConfig", "cluster_configs", "faults", "schedules", "timings", "workloads"]

FEWEST_NODES = 3
MOST_CLIENTS = 100
FUNCTIONS: tuple[OpFunction, ...] = ("put", "get", "append", "cas", "delete")

T = TypeVar("T")


class ClusterConfig(NamedTuple):
    """The input of `chaos.schedule.generate.generate`, and a timing of the nodes that fits it."""

    schedule: ScheduleConfig
    timing: Timing


# ---- clusters ----------------------------------------------------------------------------------------------------


def timings(*, longest_us: int = 300 * MS) -> SearchStrategy[Timing]:
    """Timings of nodes whose election timeouts are at most `longest_us` (20 ms or more).

    The longest timeout is one to three times the shortest, which is two to ten heartbeats. The number of entries per
    message is the default, or small. Raises ValueError for a wrong `longest_us`.
    """
    _check("longest_us", longest_us, 20 * MS, 60_000 * MS)

    @st.composite
    def drawn(draw: st.DrawFn) -> Timing:
        heartbeat_us = draw(_ms(2 * MS, longest_us // 6))
        least_us = draw(_ms(2 * heartbeat_us, min(10 * heartbeat_us, longest_us)))
        most_us = draw(_ms(least_us, min(3 * least_us, longest_us)))
        entries = draw(st.sampled_from([Timing().max_entries_per_message, 1, 2, 10]))
        return Timing(least_us, most_us, heartbeat_us, max_entries_per_message=entries)

    return drawn()


def cluster_configs(
    *,
    most_nodes: int = 5,
    most_clients: int = 3,
    kinds: Sequence[FaultKind] = VIRTUAL_KINDS,
    longest_us: int = 300 * MS,
) -> SearchStrategy[ClusterConfig]:
    """Configurations of small clusters, of 3 to `most_nodes` nodes, and of short runs of a few virtual seconds.

    `kinds` are the possible kinds of faults, and `longest_us` is as in `timings`. Raises ValueError for wrong limits.
    """
    _check("most_nodes", most_nodes, FEWEST_NODES, MOST_NODES)
    _check("most_clients", most_clients, 1, MOST_CLIENTS)
    some_kinds = _some(_known(kinds), least=0, most=len(kinds)) if kinds else st.just([])
    timing_of_it = timings(longest_us=longest_us)

    @st.composite
    def drawn(draw: st.DrawFn) -> ClusterConfig:
        some, timing = draw(some_kinds), draw(timing_of_it)
        timeout_us = timing.election_timeout_max_us
        warmup_us = 2 * timeout_us
        schedule = ScheduleConfig(
            nodes=draw(st.integers(FEWEST_NODES, most_nodes)),
            clients=draw(st.integers(1, most_clients)),
            warmup_s=warmup_us / 1e6,
            # One timeout more than necessary, since seconds as floats are not exact.
            duration_s=(warmup_us + draw(st.integers(LEAST_TIMEOUTS + 1, 2 * LEAST_TIMEOUTS)) * timeout_us) / 1e6,
            liveness_s=draw(st.integers(0, 2)) * timeout_us / 1e6,
            ops_per_second=float(draw(st.integers(1, 10)) * 10),
            faults=tuple(kind for kind in VIRTUAL_KINDS if kind in some),
            election_timeout_us_max=timeout_us,
        )
        return ClusterConfig(schedule, timing)

    return drawn()


# ---- faults ------------------------------------------------------------------------------------------------------


def faults(
    nodes: Sequence[str],
    *,
    kinds: Sequence[FaultKind] = VIRTUAL_KINDS,
    from_us: int = 0,
    until_us: int = 3_000 * MS,
    longest_us: int = 1_000 * MS,
    anchored: bool = True,
) -> SearchStrategy[Fault]:
    """One fault of these kinds among `nodes` (three or more names), with the id "f1".

    It happens from `from_us` to `until_us`, or, unless `anchored` is False, up to 50 ms after one of the first five
    events of some kind. It lasts 1 ms to `longest_us`. A killed node restarts within that time, and a broken
    connection (`reset`) ends immediately. Raises ValueError for wrong limits.
    """
    _check_nodes(nodes)
    _check("longest_us", longest_us, MS, 3_600_000 * MS)
    whens = _whens(from_us, until_us, anchored=anchored)
    kinds = _known(kinds)
    actions = {
        (kind, at_vote): _of(KINDS[kind].domain(nodes, longest_us=longest_us, at_vote=at_vote))
        for kind in kinds
        for at_vote in (False, True)
    }
    kind_of_it, lasts_us = st.sampled_from(kinds), _ms(MS, longest_us)

    @st.composite
    def drawn(draw: st.DrawFn) -> Fault:
        kind, when = draw(kind_of_it), draw(whens)
        action = draw(actions[kind, when.on == "vote_granted"])
        return Fault(id="f1", when=when, action=action, duration_us=action.lasts_us(draw(lasts_us)))

    return drawn()


def _whens(from_us: int, until_us: int, *, anchored: bool) -> SearchStrategy[When]:
    _check("from_us", from_us, 0, until_us)
    at = _ms(from_us, until_us).map(lambda at_us: When(at_us=at_us))
    if not anchored:
        return at
    return at | st.tuples(st.sampled_from(IN_EVERY_CLUSTER), st.integers(1, 5), _ms(0, 50 * MS)).map(
        lambda on: When(None, *on)
    )


def _of(domain: Domain) -> SearchStrategy[Any]:
    """The strategy of a domain, which each kind of fault defines."""
    match domain:
        case OneOf(values):
            return st.sampled_from(values)
        case Whole(least, most, step):
            down = max(0, -least // step)
            first = least + down * step
            return st.integers(-down, (most - first) // step).map(lambda steps: first + steps * step)
        case Several(of, least, most, key):
            return st.lists(_of(of), min_size=least, max_size=most, unique_by=key)
        case Drawn(make):
            return st.randoms(use_true_random=False).map(make)
        case Built(make, parts):
            return st.tuples(*map(_of, parts)).map(lambda values: make(*values))
        case Chosen(of, then):
            return _of(of).flatmap(lambda value: _of(then(value)))


# ---- operations --------------------------------------------------------------------------------------------------


def workloads(
    clients: Sequence[str],
    *,
    most: int = 30,
    from_us: int = 0,
    until_us: int = 3_000 * MS,
    functions: Sequence[OpFunction] = FUNCTIONS,
) -> SearchStrategy[list[Operation]]:
    """At most `most` client operations of these functions, in order of time, invoked from `from_us` to `until_us`.

    The keys are chosen so that all checkers have something to judge: only its own client puts to `reg/<client>`, all
    append to `list/0`, and `mix/0` gets cas, delete and some of the rest. Each value is written once. Raises ValueError
    for wrong limits.
    """
    if not clients or len(set(clients)) != len(clients):
        raise ValueError(f"clients: expected at least one name, each only once, got {list(clients)}")
    if not functions or any(f not in FUNCTIONS for f in functions):
        raise ValueError(f"functions: expected some of {', '.join(FUNCTIONS)}, got {', '.join(functions) or 'none'}")
    _check("most", most, 0, 10_000)
    _check("from_us", from_us, 0, until_us)
    asked = [(f, key) for f in FUNCTIONS if f in functions for key in _keys(f, clients)]
    one = st.tuples(_ms(from_us, until_us), st.sampled_from(list(clients)), st.sampled_from(asked))
    return st.lists(one, max_size=most).map(_operations)


def _keys(f: OpFunction, clients: Sequence[str]) -> list[str]:
    """The keys for a function. The client's own name is appended to "reg/"."""
    match f:
        case "put":
            return ["reg/", "mix/0"]
        case "get":
            return [*(f"reg/{client}" for client in clients), "list/0", "mix/0"]
        case "append":
            return ["list/0"]
        case _:
            return ["mix/0"]


def _operations(asked: list[tuple[int, str, tuple[OpFunction, str]]]) -> list[Operation]:
    operations: list[Operation] = []
    numbers: dict[str, int] = {}
    last_of_mix: str | None = None
    for at_us, client, (f, key) in sorted(asked, key=lambda one: one[0]):
        number = numbers[client] = numbers.get(client, -1) + 1
        value = f"{client}-{number}" if f in ("put", "append", "cas") else None
        key = f"reg/{client}" if key == "reg/" else key
        operations.append(
            Operation(
                id=f"{client}/{number}",
                client=client,
                at_us=at_us,
                f=f,
                key=key,
                value=value,
                expected=last_of_mix if f == "cas" else None,
            )
        )
        if key == "mix/0" and value is not None:
            last_of_mix = value
    return operations


# ---- schedules ---------------------------------------------------------------------------------------------------


def schedules(
    *,
    least_nodes: int = FEWEST_NODES,
    most_nodes: int = 5,
    clients: int = 2,
    kinds: Sequence[FaultKind] = VIRTUAL_KINDS,
    most_faults: int = 8,
    most_operations: int = 30,
    warmup_us: int = 500 * MS,
    duration_us: int = 3_000 * MS,
    longest_us: int = 1_000 * MS,
    slowest_us: int = 20 * MS,
    anchored: bool = True,
    features: Features | None = None,
) -> SearchStrategy[Schedule]:
    """Whole schedules: nodes and clients, a seed, a network and a disk, faults and operations.

    Faults happen from `warmup_us`, when nodes with the usual timeouts have a leader, to `duration_us`, when all faults
    are healed. Operations are invoked from the start to `duration_us`. `kinds` (none: no faults), `longest_us` and
    `anchored` are as in `faults`. Without faults a frame or a sync takes at most `slowest_us`; if this is more than a
    tenth of an election timeout, nodes may never elect a leader. The nodes of our own Raft have these `features`, or
    with None drawn ones; lease_reads only if they are said, since clocks that jump break them. For another system say
    `Features()`. A run of a drawn schedule may be vacuous, so test that nothing is violated, not that everything is
    valid. Raises ValueError for wrong limits.
    """
    _check("least_nodes", least_nodes, FEWEST_NODES, most_nodes)
    _check("most_nodes", most_nodes, FEWEST_NODES, MOST_NODES)
    _check("clients", clients, 1, MOST_CLIENTS)
    _check("most_faults", most_faults, 0, 1_000)
    _check("warmup_us", warmup_us, 0, duration_us)
    _check("slowest_us", slowest_us, 0, 10_000 * MS)
    names = _names("c", 0, clients)
    parts = _features() if features is None else st.just(features)
    model, seed, size = _models(slowest_us), st.integers(0, 1_000), st.integers(least_nodes, most_nodes)
    work = workloads(names, most=most_operations, until_us=duration_us)

    def some_faults(nodes: Sequence[str]) -> SearchStrategy[list[Fault]]:
        if not kinds:
            return st.just([])
        one = faults(
            nodes, kinds=kinds, from_us=warmup_us, until_us=duration_us, longest_us=longest_us, anchored=anchored
        )
        return st.lists(one, max_size=most_faults)

    faults_of = {count: some_faults(_names("n", 1, count)) for count in range(least_nodes, most_nodes + 1)}

    @st.composite
    def drawn(draw: st.DrawFn) -> Schedule:
        count = draw(size)
        header = Header(
            seed=draw(seed),
            nodes=_names("n", 1, count),
            clients=names,
            safety_from_us=warmup_us,
            safety_until_us=duration_us,
            liveness_for_us=0,
            model=draw(model),
            features=draw(parts),
        )
        possible = [fault for fault in draw(faults_of[count]) if fault.action.exists_with(header.features)]
        return Schedule(header, _numbered(possible), draw(work))

    return drawn()


def _numbered(some: list[Fault]) -> list[Fault]:
    return [replace(fault, id=f"f{number:04}") for number, fault in enumerate(some, 1)]


def _models(slowest_us: int) -> SearchStrategy[SimModel]:
    """The network and disk of `SimModel`'s defaults, or other ones."""
    range_of_it: SearchStrategy[tuple[int, int]] = _of(range_us(slowest_us))
    drawn = st.tuples(range_of_it, range_of_it, st.sampled_from([0, 1, 2]))
    return st.just(SimModel()) | drawn.map(lambda model: SimModel(*model[0], *model[1], model[2]))


def _features() -> SearchStrategy[Features]:
    """Shrinks towards none. Members change only beside CheckQuorum."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Features:
        membership = draw(st.sampled_from(("", *MEMBERSHIP)))
        return Features(
            pre_vote=draw(st.booleans()),
            check_quorum=bool(membership) or draw(st.booleans()),
            snapshot_every=draw(st.sampled_from([0, 5, 20])),
            membership=membership,  # type: ignore[arg-type]
            cache_bytes=draw(st.sampled_from([0, 300])),
            persist_commit=draw(st.booleans()),
            max_bytes_in_flight=draw(st.sampled_from([0, 100])),
        )

    return drawn()


# ---- helpers -----------------------------------------------------------------------------------------------------


def _ms(least_us: int, most_us: int) -> SearchStrategy[int]:
    """µs in steps of 1 ms from `least_us`; shrinks towards the least."""
    return _of(Whole(least_us, most_us, MS))


def _some(options: Sequence[T], *, least: int = 1, most: int) -> SearchStrategy[list[T]]:
    """`least` to `most` of the options, each only once."""
    return st.lists(st.sampled_from(options), min_size=least, max_size=most, unique=True)


def _names(letter: str, first: int, count: int) -> list[str]:
    return [f"{letter}{number}" for number in range(first, first + count)]


def _known(kinds: Sequence[FaultKind]) -> list[FaultKind]:
    """The kinds in the order of `VIRTUAL_KINDS`."""
    if unknown := [kind for kind in kinds if kind not in VIRTUAL_KINDS]:
        raise ValueError(f"kinds: {unknown[0]!r} is unknown; expected some of {', '.join(VIRTUAL_KINDS)}")
    if not kinds:
        raise ValueError(f"kinds: expected at least one of {', '.join(VIRTUAL_KINDS)}, got none")
    return [kind for kind in VIRTUAL_KINDS if kind in kinds]


def _check_nodes(nodes: Sequence[str]) -> None:
    if len(nodes) < FEWEST_NODES or len(set(nodes)) != len(nodes):
        raise ValueError(f"nodes: expected at least {FEWEST_NODES} names, each only once, got {list(nodes)}")


def _check(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{field}: expected {least} to {most}, got {value}")
