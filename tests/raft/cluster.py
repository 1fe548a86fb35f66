"""A cluster of real replicas whose network, clock and disks are moved by hand, one input at a time.

Nothing happens by itself: a message lies in `network` until `deliver` or `drop`, a write is under way until `persist`,
and time stands still until `tick` takes it to a node's deadline. A disk is the list of the batches that were written;
a crash loses the replica, and the batch under way unless it is said to have survived; `restart` folds what is left.
The cluster reports the messages, each server the rest.

`Server` is one node of it, and enough for tests that speak to a single node:

    server = Server("n1", ["n2", "n3"])
    server.receive("n2", AppendEntries(1, 0, 0, 0, [Entry(1, b"a")]))
    server.outbox        what it has sent so far: (to, message)
    server.persist()     its write under way is durable
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, TypeVar

from raft_chaos.invariants.events import Event, MessageReceived, MessageSent
from raft_chaos.raft.core import Core
from raft_chaos.raft.replica.command import Command, Consistency, Read, encode_command
from raft_chaos.raft.replica.machine import Machine
from raft_chaos.raft.replica.message_events import message_received, message_sent
from raft_chaos.raft.replica.output import Output, Reply
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.state.messages import Append, Entry, HardState, Message, Record, Recovered
from raft_chaos.raft.state.ready import Write
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.recovery import fold

SomeEvent = TypeVar("SomeEvent", bound=Event)

TIMING = Timing(election_timeout_min_us=100_000, election_timeout_max_us=200_000, heartbeat_us=20_000)


def entries(*terms: int) -> list[Entry]:
    """One entry for each term, as the paper draws logs. Term and index make up the command: equal only if both are."""
    return [Entry(term, command(f"{term}.{index}")) for index, term in enumerate(terms, 1)]


def command(value: str) -> bytes:
    """A command that the state machine understands: appends `value` to the list x."""
    return encode_command(Command("append", "x", value))


class Server:
    """One node: its replica while it runs, its disk, and everything that it sent and reported."""

    def __init__(
        self,
        name: str = "n1",
        peers: Sequence[str] = ("n2", "n3"),
        *,
        log: Sequence[Entry] = (),
        term: int = 0,
        voted_for: str | None = None,
        seed: int = 0,
        timing: Timing = TIMING,
        core: type[Core] = Core,
        machine: type[Machine] = Machine,
        replica: type[Replica] = Replica,
        now_us: int = 0,
    ) -> None:
        self.name, self.peers, self.seed, self.timing = name, peers, seed, timing
        self.core_type, self.machine_type, self.replica_type = core, machine, replica
        self.now_us = now_us
        self.inc = 0
        last_term = log[-1].term if log else 0
        self.disk: list[list[Record]] = [[HardState(max(term, last_term), voted_for)]]
        self.disk += [[Append(index, entry)] for index, entry in enumerate(log, 1)]
        self.replica: Replica | None = None
        self.under_way: Write | None = None
        self.events: list[Event] = []
        self.outbox: list[tuple[str, Message]] = []
        self.replies: list[Reply] = []
        self.start()

    @property
    def core(self) -> Core:
        assert self.replica is not None, f"{self.name} is down"
        return self.replica.core

    def start(self) -> None:
        self.inc += 1
        core = self.core_type(
            node=self.name,
            peers=self.peers,
            incarnation=self.inc,
            timing=self.timing,
            random=Random(f"{self.seed}/{self.name}/{self.inc}"),
            recovered=self.recovered(),
            now_us=self.now_us,
        )
        self.replica = self.replica_type(core, self.machine_type())
        self._advance()

    def recovered(self) -> Recovered:
        """The current content of the disk."""
        return fold(self.disk)

    def crash(self, *, write_survives: bool = False) -> None:
        """The node loses power. The write under way is a single log record: it survives whole, or not at all."""
        if write_survives and self.under_way is not None:
            self.disk.append(self.under_way.records)
        self.replica = self.under_way = None

    # ---- inputs; after each one the server does what its Output says ----------------------------------------------

    def receive(self, source: str, *messages: Message) -> None:
        """Several messages arrive in one turn of the event loop."""
        assert self.replica is not None
        for message in messages:
            self.replica.receive(source, message, self.now_us)
        self._advance()

    def tick(self) -> None:
        """Time advances to this server's deadline."""
        self.now_us = max(self.now_us, self.core.deadline_us)
        assert self.replica is not None
        self.replica.tick(self.now_us)
        self._advance()

    def submit(self, *commands: bytes) -> bool:
        """Clients' commands of one turn; the token of each is the command itself."""
        assert self.replica is not None
        taken = [self.replica.submit(command, command, self.now_us) for command in commands]
        self._advance()
        return all(taken)

    def read(self, *keys: str, consistency: Consistency = "read_index") -> bool:
        """Clients' reads of one turn; the token of each is the key."""
        assert self.replica is not None
        taken = [self.replica.read(key, Read(key, consistency), self.now_us) for key in keys]
        self._advance()
        return all(taken)

    def persist(self) -> None:
        """The write under way, if there is one, is durable now."""
        write, self.under_way = self.under_way, None
        if write is not None:
            assert self.replica is not None
            self.disk.append(write.records)
            self.replica.persisted(write.lsn, self.now_us)
            self._advance()

    def persist_all(self) -> None:
        while self.under_way is not None:
            self.persist()

    def _advance(self) -> Output:
        assert self.replica is not None
        output = self.replica.advance()
        self.events += output.events
        self.outbox += output.messages
        self.replies += output.replies
        if output.write is not None:
            assert self.under_way is None, "one write is under way at a time"
            self.under_way = output.write
        return output

    # ---- what a test asks for -------------------------------------------------------------------------------------

    @property
    def terms(self) -> list[int]:
        """The terms of the log's entries, as the paper draws logs."""
        return [self.core.log.term_at(index) for index in range(1, self.core.log.last_index + 1)]

    def take_outbox(self) -> list[tuple[str, Message]]:
        outbox, self.outbox = self.outbox, []
        return outbox

    def sent(self, kind: type[Message]) -> list[Message]:
        """The messages of one type that lie in the outbox."""
        return [message for _, message in self.outbox if isinstance(message, kind)]

    def leads(self) -> bool:
        return self.core.role == "leader"

    def reported(self, kind: type[SomeEvent]) -> list[SomeEvent]:
        return [event for event in self.events if isinstance(event, kind)]


class Packet(NamedTuple):
    """A message in the network: the `number`th of that incarnation of its sender."""

    source: str
    to: str
    message: Message
    inc: int
    number: int


class Cluster:
    """Servers n1 to n<size>, and the network between them."""

    def __init__(
        self,
        size: int = 3,
        *,
        seed: int = 0,
        logs: dict[str, list[Entry]] | None = None,
        term: int = 0,
        timing: Timing = TIMING,
        core: type[Core] = Core,
        machine: type[Machine] = Machine,
        replica: type[Replica] = Replica,
    ) -> None:
        names = [f"n{number}" for number in range(1, size + 1)]
        self.servers = {
            name: Server(
                name,
                [peer for peer in names if peer != name],
                log=(logs or {}).get(name, ()),
                term=term,
                seed=seed,
                timing=timing,
                core=core,
                machine=machine,
                replica=replica,
            )
            for name in names
        }
        self.network: list[Packet] = []
        self.traffic: list[Packet] = []  # all that was ever sent
        self.cut_off: frozenset[str] = frozenset()
        self.now_us = 0
        self._sent = dict.fromkeys(names, 0)  # how many messages each has sent, in all its incarnations

    def __getitem__(self, name: str) -> Server:
        return self.servers[name]

    def live(self) -> list[Server]:
        return [server for server in self.servers.values() if server.replica is not None]

    def leaders(self) -> list[Server]:
        return [server for server in self.live() if server.leads()]

    # ---- steps ----------------------------------------------------------------------------------------------------

    def step(self, server: Server, move: Callable[[], object]) -> None:
        """One input to one server, at the cluster's time; what it sends goes into the network."""
        server.now_us = self.now_us
        move()
        self.now_us = server.now_us
        sent = [
            Packet(server.name, to, message, server.inc, number)
            for number, (to, message) in enumerate(server.take_outbox(), self._sent[server.name] + 1)
        ]
        self._sent[server.name] += len(sent)
        server.events += [self._sending(packet) for packet in sent]
        self.network += sent
        self.traffic += sent

    def tick(self, name: str) -> None:
        self.step(self[name], self[name].tick)

    def submit(self, name: str, *commands: bytes) -> bool:
        server = self[name]
        before = server.core.log.last_index
        self.step(server, lambda: server.submit(*commands))
        return server.core.log.last_index == before + len(commands)

    def read(self, name: str, *keys: str, consistency: Consistency = "read_index") -> None:
        self.step(self[name], lambda: self[name].read(*keys, consistency=consistency))

    def persist(self, name: str) -> None:
        self.step(self[name], self[name].persist)

    def persist_all(self, name: str) -> None:
        self.step(self[name], self[name].persist_all)

    def deliver(self, packet: Packet) -> None:
        """Hands over a message. Nothing arrives at a server that is down, or crosses the cut around `cut_off`."""
        server = self[packet.to]
        if server.replica is not None and (packet.source in self.cut_off) == (packet.to in self.cut_off):
            server.events.append(self._arrival(packet, server.inc))
            self.step(server, lambda: server.receive(packet.source, packet.message))

    def _sending(self, packet: Packet) -> MessageSent:
        return message_sent(packet.source, packet.inc, self.now_us, packet.to, packet.number, packet.message)

    def _arrival(self, packet: Packet, inc: int) -> MessageReceived:
        source, number, message = packet.source, packet.number, packet.message
        return message_received(packet.to, inc, self.now_us, source, packet.inc, number, message)

    def deliver_from(self, source: str, *to: str) -> None:
        """All that `source` has sent to these servers by now arrives, in order."""
        for packet in list(self.network):
            if packet.source == source and packet.to in to:
                self.network.remove(packet)
                self.deliver(packet)

    def drop(self) -> None:
        """All messages in the network are lost."""
        self.network.clear()

    def crash(self, name: str, *, write_survives: bool = False) -> None:
        self[name].crash(write_survives=write_survives)

    def restart(self, name: str) -> None:
        self.step(self[name], self[name].start)

    # ---- many steps -----------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Delivers and persists, in order, until nothing is left to do. Time stands still."""
        while self.network or any(server.under_way is not None for server in self.live()):
            for server in self.live():
                self.step(server, server.persist)
            packets, self.network = self.network, []
            for packet in packets:
                self.deliver(packet)

    def elect(self, name: str) -> Server:
        """`name` stands for election, several times if necessary, until it leads."""
        for _ in range(10):
            if self[name].leads():
                return self[name]
            self.tick(name)
            self.settle()
        raise AssertionError(f"{name} was not elected")

    def heartbeat(self, name: str) -> None:
        """The leader's next heartbeat, and all that follows from it."""
        self.tick(name)
        self.settle()

    def all_events(self) -> list[Event]:
        """Server by server, each in its own order."""
        return [event for server in self.servers.values() for event in server.events]
