"""A cluster under a random schedule: loss, duplication, reordering, slow writes, crashes, cuts and clients.

`run` moves a `Cluster` through a schedule drawn from one seed and looks into the cores after every step; `Safety` knows
Figure 3's properties. Then `recover` heals everything and demands progress. Both raise AssertionError.
"""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from cluster import Cluster, Packet, Server, command
from raft_chaos.invariants.events import EntryApplied, Event, SnapshotRestored, SnapshotTaken
from raft_chaos.raft.core import Core
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.timing import Timing


class Safety:
    """Figure 3, checked by direct inspection of the cores (not of what they report)."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._leader_of: dict[int, str] = {}
        self._digest_of: dict[tuple[int, int], str] = {}
        # The digest of each committed index that a log was seen to have, and the least term that said so.
        self._committed: dict[int, tuple[str, int]] = {}
        self._applied: dict[int, tuple[int, str]] = {}  # term and state digest of each applied index
        self._seen_events = dict.fromkeys(cluster.servers, 0)

    def check(self, server: Server) -> None:
        """After a step of `server`; nobody else's state has changed."""
        if server.replica is None:
            return
        self._state_machine_safety(server)
        self._log_matching(server)
        self._committed_entries_stay(server)
        if server.core.role == "leader":
            self._election_safety(server)
            self._leader_completeness(server)

    def _election_safety(self, server: Server) -> None:
        leader = self._leader_of.setdefault(server.core.current_term, server.name)
        assert leader == server.name, f"two leaders in term {server.core.current_term}: {leader}, {server.name}"

    def _log_matching(self, server: Server) -> None:
        log = server.core.log
        for index in range(max(log.base_index, 1), log.last_index + 1):
            digest = log.digest(index)
            other = self._digest_of.setdefault((index, log.term_at(index)), digest)
            assert other == digest, f"two logs hold ({index}, term {log.term_at(index)}) with different prefixes"

    def _committed_entries_stay(self, server: Server) -> None:
        core = server.core
        assert core.last_applied <= core.commit_index <= core.log.last_index
        for index in range(max(core.log.base_index, 1), core.commit_index + 1):
            digest = core.log.digest(index)
            known, term = self._committed.get(index, (digest, core.current_term))
            assert known == digest, f"{server.name} committed another entry {index}"
            self._committed[index] = known, min(term, core.current_term)

    def _leader_completeness(self, server: Server) -> None:
        log = server.core.log
        for index, (digest, term) in self._committed.items():
            if term < server.core.current_term:
                if index < log.base_index:
                    continue
                assert index <= log.last_index, f"leader {server.name} lacks the committed entry {index}"
                assert log.digest(index) == digest, f"leader {server.name} has another entry {index} than was committed"

    def _state_machine_safety(self, server: Server) -> None:
        for event in server.events[self._seen_events[server.name] :]:
            if isinstance(event, EntryApplied | SnapshotTaken | SnapshotRestored):
                state = event.state if isinstance(event, SnapshotTaken) else event.digest
                known = self._applied.setdefault(event.index, (event.term, state))
                assert known == (event.term, state), f"{server.name} has another state after entry {event.index}"
        self._seen_events[server.name] = len(server.events)


class RandomSchedule:
    """A run drawn from `seed`: its size, the weight of each kind of step, and the steps themselves."""

    def __init__(self, seed: int, *, core: type[Core] = Core, snapshots: bool = False) -> None:
        self.random = random = Random(seed)
        size = random.choice([3, 3, 3, 4, 5])
        timing = Timing(
            100_000,
            200_000,
            20_000,
            max_entries_per_message=random.choice([1, 2, 2_000]),
            max_entries_in_flight=random.choice([2, 20_000]),
        )
        if snapshots:
            every, chunk_bytes = random.choice([1, 3, 10]), random.choice([1, 20, 1_000])
            timing = replace(timing, features=Features(snapshot_every=every), chunk_bytes=chunk_bytes)
        self.cluster = Cluster(size, seed=seed, timing=timing, core=core)
        self.safety = Safety(self.cluster)
        self.commands = 0
        self._last_moved = self.cluster["n1"]
        # Swarm testing: a schedule that has everything in equal measure seldom gets deep into anything.
        self._weights = {
            self._deliver: 100,
            self._persist: random.choice([10, 50, 100]),
            self._tick_next: random.choice([2, 10]),
            self._tick_any: random.choice([0.5, 2, 5]),
            self._tick_all: random.choice([0, 0.5, 1]),
            self._submit: random.choice([2, 10]),
            self._lose: random.choice([0, 1, 10]),
            self._duplicate: random.choice([0, 1, 10]),
            self._crash: random.choice([0, 0.5, 2]),
            self._reboot: random.choice([0, 2, 5]),
            self._restart: 3,
            self._cut: random.choice([0, 1, 2]),
            self._heal: 4,
        }
        self._reorder = random.choice([0.0, 0.1, 1.0])

    def run(self, steps: int) -> None:
        """The safety phase."""
        moves, weights = list(self._weights), list(self._weights.values())
        for move in self.random.choices(moves, weights, k=steps):
            server = move()
            if server is not None:
                self._last_moved = server
                self.safety.check(server)

    def recover(self, rounds: int = 40) -> None:
        """The liveness phase: all is healed, and within `rounds` a new command is applied everywhere."""
        cluster = self.cluster
        cluster.cut_off = frozenset()
        for server in cluster.servers.values():
            if server.replica is None:
                cluster.restart(server.name)
        target = max(server.core.commit_index for server in cluster.servers.values()) + 1
        for _ in range(rounds):
            cluster.settle()
            for server in cluster.servers.values():
                self.safety.check(server)
            if min(server.core.last_applied for server in cluster.servers.values()) >= target:
                return
            for leader in cluster.leaders():
                self._submit_to(leader)
            self._tick_next()
        raise AssertionError(f"entry {target} was not applied everywhere within {rounds} rounds after all was healed")

    def events(self) -> list[Event]:
        return self.cluster.all_events()

    # ---- steps; each returns the server that moved -----------------------------------------------------------------

    def _deliver(self) -> Server | None:
        packet = self._pick_packet()
        if packet is None:
            return None
        self.cluster.network.remove(packet)
        self.cluster.deliver(packet)
        return self.cluster[packet.to]

    def _duplicate(self) -> Server | None:
        packet = self._pick_packet()
        if packet is None:
            return None
        self.cluster.deliver(packet)
        return self.cluster[packet.to]

    def _lose(self) -> None:
        packet = self._pick_packet()
        if packet is not None:
            self.cluster.network.remove(packet)

    def _persist(self) -> Server | None:
        writing = [server for server in self.cluster.live() if server.under_way is not None]
        if not writing:
            return None
        server = self.random.choice(writing)
        self.cluster.persist(server.name)
        return server

    def _tick_next(self) -> Server | None:
        """Time goes on to the next deadline of anyone, as it would with equal clocks."""
        if not self.cluster.live():
            return None
        server = min(self.cluster.live(), key=lambda server: (server.core.deadline_us, server.name))
        self.cluster.tick(server.name)
        return server

    def _tick_any(self) -> Server | None:
        """Time goes on to the deadline of one server; the others were too slow to do anything."""
        if not self.cluster.live():
            return None
        server = self.random.choice(self.cluster.live())
        self.cluster.tick(server.name)
        return server

    def _tick_all(self) -> None:
        """All deadlines pass at once, as after a pause of the whole machine: candidates meet in one term."""
        for server in self.random.sample(self.cluster.live(), len(self.cluster.live())):
            self.cluster.tick(server.name)
            self.safety.check(server)

    def _submit(self) -> Server | None:
        leaders = self.cluster.leaders()
        return self._submit_to(self.random.choice(leaders)) if leaders else None

    def _submit_to(self, leader: Server) -> Server:
        self.commands += 1
        assert self.cluster.submit(leader.name, command(str(self.commands)))
        return leader

    def _crash(self) -> Server | None:
        if not self.cluster.live():
            return None
        # One that has just promised something has more to lose.
        server = self._last_moved
        if server.replica is None or self.random.random() < 0.5:
            server = self.random.choice(self.cluster.live())
        self.cluster.crash(server.name, write_survives=self.random.random() < 0.5)
        return server

    def _reboot(self) -> Server | None:
        """Crashes and restarts before another node notices; messages sent to it still arrive."""
        server = self._crash()
        if server is not None:
            self.cluster.restart(server.name)
        return server

    def _restart(self) -> Server | None:
        down = [server for server in self.cluster.servers.values() if server.replica is None]
        if not down:
            return None
        server = self.random.choice(down)
        self.cluster.restart(server.name)
        return server

    def _cut(self) -> None:
        names = list(self.cluster.servers)
        self.cluster.cut_off = frozenset(self.random.sample(names, self.random.randint(1, len(names) - 1)))

    def _heal(self) -> None:
        self.cluster.cut_off = frozenset()

    def _pick_packet(self) -> Packet | None:
        network = self.cluster.network
        if not network:
            return None
        # Without reordering, the oldest of a random link comes first.
        packet = self.random.choice(network)
        if self.random.random() < self._reorder:
            return packet
        return next(p for p in network if (p.source, p.to) == (packet.source, packet.to))
