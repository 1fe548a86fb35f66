"""The doors of the product, by name: every place where bytes from outside come in.

`frames` and `command` are what peers and clients send to a node. `wal` is what a node finds on its disk. `journal`,
`run` and `schedule`, `reproduction` and `history` are files that the harness reads again, perhaps years later.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from random import Random

import msgspec

from builders.reproductions import reproduction
from builders.runs import in_lockstep
from builders.schedules import TIMING, schedule
from builders.storms import stormy, swarm_config
from door import Damage, Door, Entered, FunctionDoor, WrongVerdictError
from mutation import damaged_bytes, damaged_json, damaged_lines, damaged_tree
from node_door import NodeDoor, TlsDoor, damaged_request, request
from raft_chaos.chaos.cli.app import app
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.judgement.analysis import analyse
from raft_chaos.chaos.reproduction.file import ReproductionError, parse, save
from raft_chaos.chaos.run.settings import Settings, describe
from raft_chaos.chaos.run.sim.world import run_sim
from raft_chaos.chaos.schedule.data import Fault, ScheduleError, When
from raft_chaos.chaos.schedule.file import load
from raft_chaos.chaos.targets.described import understood
from raft_chaos.chaos.targets.description import parse as parse_target
from raft_chaos.chaos.targets.protocol import TargetError
from raft_chaos.chaos.targets.template import UNREADABLE
from raft_chaos.invariants.events import MALFORMED
from raft_chaos.invariants.linearizability.check import check_with_order
from raft_chaos.invariants.linearizability.readers.formats import READERS, guess
from raft_chaos.invariants.linearizability.readers.history_file import HistoryError
from raft_chaos.invariants.rundir import RunDir, RunDirError
from raft_chaos.invariants.verdict import EXIT_USAGE, EXIT_VIOLATED
from raft_chaos.raft.network.codec import (
    PROTOCOL_VERSION,
    Envelope,
    FrameBuffer,
    FrameError,
    Hello,
    decode_envelope,
    decode_hello,
    encode_frame,
    framed,
)
from raft_chaos.raft.replica.command import Command, encode_command
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.server.claims import check_message
from raft_chaos.raft.server.http_requests import parse_request
from raft_chaos.raft.server.parts import Parts, make_replica
from raft_chaos.raft.state.messages import (
    Append,
    AppendEntries,
    AppendEntriesReply,
    Entry,
    HardState,
    Record,
    Recovered,
    RequestVote,
    RequestVoteReply,
    Truncate,
)
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage import journal
from raft_chaos.raft.storage.disk import MemoryDisk
from raft_chaos.raft.storage.framing import frame, unframe
from raft_chaos.raft.storage.identity import Identity
from raft_chaos.raft.storage.journal import JournalError, read_journal
from raft_chaos.raft.storage.log_file import FILE, CorruptLogError
from raft_chaos.raft.storage.wal import WriteAheadLog

PUT = encode_command(Command("put", "x", "1", None, "c0", 1))

_unpacked = msgspec.msgpack.decode


def _packed(tree: object) -> bytes:
    """msgpack has no integer beyond 64 bits: such a tree becomes the largest one."""
    try:
        return msgspec.msgpack.encode(tree)
    except OverflowError:
        return msgspec.msgpack.encode(2**64 - 1)


# ---- frames between nodes ----------------------------------------------------------------------------------------

MESSAGES = (
    RequestVote(3, 1, 1),
    RequestVoteReply(2, True),
    AppendEntries(2, 0, 0, 0, [Entry(1, b""), Entry(2, PUT)]),
    AppendEntries(3, 1, 1, 1, []),
    AppendEntriesReply(2, True, 2, 0, 0, 0),
)


def _frame_samples() -> list[bytes]:
    hello = encode_frame(Hello(PROTOCOL_VERSION, "c", "n2", 1))
    numbered = [encode_frame(Envelope(number, message)) for number, message in enumerate(MESSAGES, 1)]
    return [hello + b"".join(numbered), *(hello + one for one in numbered)]


def _damaged_frame(rng: Random, sample: bytes) -> bytes:
    """Intact frames, one of which holds another tree."""
    payloads = list(FrameBuffer().feed(sample))
    place = rng.randrange(len(payloads))
    payloads[place] = _packed(damaged_tree(rng, _unpacked(payloads[place])))
    return b"".join(framed(one) for one in payloads)


def _damaged_payload(rng: Random, sample: bytes) -> bytes:
    """Intact frames, one of which holds damaged bytes."""
    payloads = list(FrameBuffer().feed(sample))
    place = rng.randrange(len(payloads))
    payloads[place] = damaged_bytes(rng, payloads[place])
    return b"".join(framed(one) for one in payloads)


def _receive(data: bytes) -> None:
    """What comes from a peer goes into a node that has a log, and the node carries out what it is ready for."""
    buffer, replica, greeted = FrameBuffer(), _replica(), False
    for piece in (data[at : at + 50] for at in range(0, len(data), 50)):
        for payload in buffer.feed(piece):
            if greeted:
                message = decode_envelope(payload).message
                check_message(message, replica.core, judged=False)
                replica.receive("n2", message, 1_000)
                write = replica.advance().write
                while write is not None:
                    replica.persisted(write.lsn, 1_000)
                    write = replica.advance().write
            else:
                decode_hello(payload)
                greeted = True


def _replica() -> Replica:
    return make_replica(
        Parts(),
        node="n1",
        peers=["n2", "n3"],
        incarnation=1,
        timing=Timing(),
        seed=1,
        recovered=Recovered(HardState(1, None), [Entry(1, b"")]),
        now_us=0,
    )


# ---- a node's files ----------------------------------------------------------------------------------------------

BATCHES: list[list[Record]] = [
    [HardState(1, "n1")],
    [Append(1, Entry(1, b"")), Append(2, Entry(1, PUT))],
    [HardState(2, None), Truncate(2), Append(2, Entry(2, PUT))],
    [Append(3, Entry(2, PUT))],
]
US = Identity("c", "n1")


def _wal_samples() -> list[bytes]:
    disk = MemoryDisk()
    wal = WriteAheadLog(disk)
    wal.recover(US)
    for batch in BATCHES:
        wal.append(batch)
        wal.sync()
    return [disk.read(FILE)]


def _recover(data: bytes) -> None:
    """The state that is recovered is one that a node can start with."""
    disk = MemoryDisk()
    WriteAheadLog(disk).recover(US)
    disk.truncate(FILE, 0)
    disk.append(FILE, data)
    recovered = WriteAheadLog(disk).recover(US)
    make_replica(
        Parts(), node="n1", peers=["n2"], incarnation=2, timing=Timing(), seed=1, recovered=recovered, now_us=0
    ).advance()


def _reframed(magic: bytes) -> Damage:
    """Intact records, one of which holds another tree."""

    def damaged(rng: Random, sample: bytes) -> bytes:
        trees = [tree for tree, _ in unframe(sample, len(magic), _unpacked)]
        place = rng.randrange(len(trees))
        trees[place] = damaged_tree(rng, trees[place])
        return magic + b"".join(frame(_packed(tree)) for tree in trees)

    return damaged


def _journal_samples() -> list[bytes]:
    """The journals of a short run, which real processes wrote."""
    crash = Fault(id="f1", when=When(at_us=400_000), action=Kill(["n1"], [50_000]), duration_us=50_000)
    with tempfile.TemporaryDirectory(prefix="raft-chaos-doors-") as folder:
        in_lockstep(schedule([crash], safety_us=(300_000, 500_000), liveness_us=50_000), Path(folder))
        groups = RunDir(Path(folder) / "run").journals().values()
        return [file.read_bytes() for group in groups for _, file in group]


def _read_journal(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(prefix="raft-chaos-journal-") as file:
        file.write(data)
        file.flush()
        for _ in read_journal(Path(file.name)):
            pass


# ---- run directories ---------------------------------------------------------------------------------------------


class RunDoor:
    """The files of a run of a correct cluster, one of which is damaged; then the run is judged again.

    An input is the file's place in the list of files (one byte), and its content.
    """

    name = "run"
    errors = (RunDirError, ScheduleError)

    def __init__(self, folder: Path) -> None:
        self._run = RunDir(folder / "run")
        settings, plan = Settings(world="sim", schedule=swarm_config(), timing=TIMING), stormy(1)
        info = run_sim(plan, TIMING, None, self._run, describe(settings, 1, plan, self._run))
        self._run.save_info(
            msgspec.structs.replace(info, evidence=None)
        )  # a seal would answer before any damaged file is read
        self._files = sorted(file for file in self._run.path.rglob("*") if file.is_file())
        assert analyse(self._run).verdict != "violated"

    def samples(self) -> list[bytes]:
        return [bytes([place]) + file.read_bytes() for place, file in enumerate(self._files)]

    def damages(self) -> list[Damage]:
        def kept(damage: Damage) -> Damage:
            return lambda rng, sample: sample[:1] + damage(rng, sample[1:])

        return [kept(damaged_bytes), kept(damaged_lines), kept(damaged_lines)]

    def enter(self, data: bytes) -> Entered:
        with self._damaged(data) as file:
            try:
                analysis = analyse(self._run)
            except self.errors:
                return "refused"
        if analysis.verdict == "violated":
            raise WrongVerdictError(f"{file.relative_to(self._run.path)} was damaged, and the run is violated")
        return "refused" if analysis.damage else "accepted"

    def close(self) -> None:
        pass

    @contextmanager
    def _damaged(self, data: bytes) -> Iterator[Path]:
        file = self._files[data[0] % len(self._files)]
        intact = file.read_bytes()
        file.write_bytes(data[1:])
        try:
            yield file
        finally:
            file.write_bytes(intact)


COMMANDS = ("check", "trace", "explain", "report", "replay")


class CommandDoor(RunDoor):
    """The same files, read by a command. The first byte of an input is the command's place in `COMMANDS`."""

    name = "commands"

    def samples(self) -> list[bytes]:
        files = super().samples()
        return [bytes([place]) + file for place in range(len(COMMANDS)) for file in files]

    def damages(self) -> list[Damage]:
        def kept(damage: Damage) -> Damage:
            return lambda rng, sample: sample[:1] + damage(rng, sample[1:])

        return [kept(damage) for damage in super().damages()]

    def enter(self, data: bytes) -> Entered:
        command = COMMANDS[data[0] % len(COMMANDS)]
        with self._damaged(data[1:]) as file, redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            try:
                status = app([command, str(self._run.path)], standalone_mode=False)
            except SystemExit as end:
                status = end.code
        if status == EXIT_VIOLATED and command != "replay":  # there it says that the recording differs
            raise WrongVerdictError(f"{command}: {file.relative_to(self._run.path)} was damaged; exit code {status}")
        return "refused" if status == EXIT_USAGE else "accepted"


# ---- other files -------------------------------------------------------------------------------------------------


def _saved(write: Callable[[Path], object]) -> bytes:
    with tempfile.NamedTemporaryFile(prefix="raft-chaos-door-") as file:
        write(Path(file.name))
        return Path(file.name).read_bytes()


def _schedule_samples() -> list[bytes]:
    from raft_chaos.chaos.schedule.file import save as save_schedule

    return [_saved(lambda file, seed=seed: save_schedule(stormy(seed), file)) for seed in (1, 2)]


def _load_schedule(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(prefix="raft-chaos-schedule-") as file:
        file.write(data)
        file.flush()
        load(Path(file.name))


def _reproduction_samples() -> list[bytes]:
    return [_saved(lambda file: save(reproduction(), file))]


HISTORIES = (
    b"".join(
        b'{"type":"%s","process":%d,"client":"c","op":"c/%d","f":"%s","key":"x","t_us":%d%s}\n' % line
        for line in (
            (b"invoke", 0, 1, b"put", 10, b',"value":"a"'),
            (b"ok", 0, 1, b"put", 20, b',"index":1,"term":1'),
            (b"invoke", 0, 2, b"append", 30, b',"value":"b"'),
            (b"info", 0, 2, b"append", 40, b',"error":"no answer"'),
            (b"invoke", 1, 3, b"get", 50, b""),
            (b"ok", 1, 3, b"get", 60, b',"value":"a","index":2,"term":1'),
        )
    ),
    b"INFO  jepsen.util - 0\t:invoke\t:write\t1\nINFO  jepsen.util - 0\t:ok\t:write\t1\n"
    b"INFO  jepsen.util - 1\t:invoke\t:read\tnil\nINFO  jepsen.util - 1\t:ok\t:read\t1\n"
    b"INFO  jepsen.util - 0\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 0\t:fail\t:cas\t[1 2]\n",
    b'{:process 0, :type :invoke, :f :append, :key "0", :value "x"}\n'
    b'{:process 0, :type :ok, :f :append, :key "0", :value "x"}\n'
    b'{:process 1, :type :invoke, :f :get, :key "0"}\n{:process 1, :type :ok, :f :get, :key "0", :value "x"}\n',
    b"{:process 0, :type :invoke, :f :txn, :value [[:append 1 2]]}\n"
    b"{:process 0, :type :ok, :f :txn, :value [[:append 1 2]]}\n"
    b"{:process 1, :type :invoke, :f :txn, :value [[:r 1 nil]]}\n"
    b"{:process 1, :type :ok, :f :txn, :value [[:r 1 [2]]]}\n",
)


def _judge_history(data: bytes) -> None:
    """With every model that fits the format."""
    if not data.strip():
        raise HistoryError("h", None, "is empty")
    reader = READERS[guess(Path("h"), data)]
    refusals: list[HistoryError] = []
    for model in reader.models:
        try:
            history = reader.read("h", data, model)
        except HistoryError as error:
            refusals.append(error)
            continue
        if history.operations:
            check_with_order(history.operations, model, history.log_order, budget=2_000)
    if len(refusals) == len(reader.models):
        raise refusals[0]


def _function(
    name: str,
    samples: Callable[[], list[bytes]],
    ways: Sequence[Damage],
    read: Callable[[bytes], object],
    *errors: type[Exception],
) -> Callable[[Path], Door]:
    return lambda folder: FunctionDoor(name, samples, tuple(ways), read, errors)


_BODIES = [b'{"command":"put x 1","client":"c0","serial":7}', b'{"command":"cas x 1 2"}', b'{"command":"append l a b"}']

REQUESTS = [
    *(request(b"POST", b"/executeCommand", body) for body in _BODIES),
    request(b"GET", b"/log?from=1&limit=5"),
]

_TARGETS = [file.read_bytes() for file in sorted(Path(__file__).parents[2].glob("examples/*.toml"))]
_ANSWERS = [
    b'{"kvs":[{"value":"djE="}],"header":{"member_id":"7"}}',
    b'{"header":{"member_id":"7"}}',
    b'{"succeeded":true}',
]


def _understand(data: bytes) -> None:
    """An answer to each of the operations of a target. One that says nothing leaves the outcome unknown."""
    described = parse_target(next(one for one in _TARGETS if b"serializable" not in one and b"etcd" in one), Path("t"))
    try:
        answer: object = msgspec.json.decode(data)
    except MALFORMED:
        answer = data.decode(errors="replace")
    for operation in (described.get, described.put, described.cas, described.delete):
        assert operation is not None
        understood(operation, 200, {}, answer, {})


DOORS: dict[str, Callable[[Path], Door]] = {
    "frames": _function(
        "frames", _frame_samples, (damaged_bytes, _damaged_payload, _damaged_frame), _receive, FrameError
    ),
    "peers": lambda folder: NodeDoor(folder, _frame_samples(), _damaged_frame, "raft"),
    "tls": TlsDoor,
    "http": lambda folder: NodeDoor(folder, REQUESTS, damaged_request, "http"),
    "command": _function("command", lambda: _BODIES, (damaged_bytes, damaged_json), parse_request, ValueError),
    "wal": _function("wal", _wal_samples, (damaged_bytes, _reframed(_wal_samples()[0][:8])), _recover, CorruptLogError),
    "journal": _function(
        "journal", _journal_samples, (damaged_bytes, _reframed(journal.MAGIC)), _read_journal, JournalError
    ),
    "run": RunDoor,
    "commands": CommandDoor,
    "schedule": _function("schedule", _schedule_samples, (damaged_bytes, damaged_lines), _load_schedule, ScheduleError),
    "reproduction": _function(
        "reproduction",
        _reproduction_samples,
        (damaged_bytes, damaged_json, damaged_json),
        lambda data: parse(data, Path("r.json"), edited=True),
        ReproductionError,
    ),
    "target": _function(
        "target",
        lambda: _TARGETS,
        (damaged_bytes, damaged_lines),
        lambda data: parse_target(data, Path("t.toml")),
        TargetError,
    ),
    "answer": _function("answer", lambda: _ANSWERS, (damaged_bytes, damaged_json), _understand, *UNREADABLE),
    "history": _function(
        "history", lambda: list(HISTORIES), (damaged_bytes, damaged_lines, damaged_lines), _judge_history, HistoryError
    ),
}
"""Each is opened with a folder of its own."""
