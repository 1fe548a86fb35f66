"""One live run: real processes, from an empty directory to a verdict.

The run goes through its phases in real time, kills the nodes, reads what they wrote last, and judges. However a run
ends (normally, at a violation with `fail_fast`, by a signal, by an error of the harness), it kills the nodes, and the
directory holds everything that happened so far.

Trouble of any part of the harness ends the run, and then nothing of it counts: the proxy tells the controller, the
death of the proxy or the reaper is noticed, and every task of the controller ends the run with its error.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Coroutine
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from raft_chaos.chaos.judgement.analysis import analyse
from raft_chaos.chaos.judgement.vacuity import (
    COMPLETED,
    FAILED_FAST,
    HARNESS_FAILED,
    INTERRUPTED,
    NEVER_BEGAN,
    TOO_MUCH,
)
from raft_chaos.chaos.processes.interrupts import held, words
from raft_chaos.chaos.processes.shortage import HarnessError, sentence, setup_error
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.run import needs
from raft_chaos.chaos.run.bounds import Bounds, bounds_of
from raft_chaos.chaos.run.clients import Client
from raft_chaos.chaos.run.directory import begin, failure_marked, finish
from raft_chaos.chaos.run.fault_log import FaultLog
from raft_chaos.chaos.run.live.history import HistoryFile
from raft_chaos.chaos.run.live.line_file import LineFile
from raft_chaos.chaos.run.live.network import choose as network
from raft_chaos.chaos.run.live.progress import NodeLine, RunStatus, Watch
from raft_chaos.chaos.run.live.status import poll_status
from raft_chaos.chaos.run.live.tasks import LiveTasks
from raft_chaos.chaos.run.live.watcher import Watcher
from raft_chaos.chaos.run.nemesis import Nemesis
from raft_chaos.chaos.run.pace import first_voters
from raft_chaos.chaos.run.peer_secret import peer_secret
from raft_chaos.chaos.run.phases import Bound, Phases
from raft_chaos.chaos.schedule.data import AnchorEvent, Schedule
from raft_chaos.chaos.targets.addresses import Ports, claimed
from raft_chaos.chaos.targets.certificates import CLIENT, Certificates
from raft_chaos.chaos.targets.log_lines import is_checked, log_lines_of
from raft_chaos.chaos.targets.protocol import Target
from raft_chaos.invariants.events import HARNESS, HarnessEvent, LogsFollowed, LogsLost, RunEnded, encode
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.verdict import Violation
from raft_chaos.raft.network.tls import Tls
from raft_chaos.raft.server.host import monotonic_us

if TYPE_CHECKING:
    from raft_chaos.chaos.run.live.log_reader import LogReader

SAMPLE_S = 1.0
WATCH_S = 0.02
SENTINEL_S = 0.05
RECOVERY_BOUND_US = 10_000_000


def run_live(
    schedule: Schedule,
    target: Target,
    run: RunDir,
    info: RunInfo,
    *,
    fail_fast: bool = False,
    until: str | None = None,
    watch: Watch | None = None,
    peer_auth: bool = False,
    certificates: Certificates | None = None,
    max_events: int | None = None,
) -> RunInfo:
    """Carries out the schedule against the target; returns the finished run.json.

    It ends at the first violation with `fail_fast`, or at the first one of the invariant `until`. With `peer_auth` the
    nodes have a secret, which all of the target's nodes must be able to use. `certificates` are those of the target, if
    its connections use TLS: the proxy and the clients then use it, too. `max_events` replaces the usual bound of events
    (`chaos.run.bounds`), at which the run ends.
    The run directory must be new; `info` describes the run as it was asked for, and is completed here.
    Raises TooFewFilesError, before it makes the directory, if the system allows fewer open files than the run needs.
    Raises HarnessError if the harness itself fails: the directory then holds what happened, and run.json says why
    nothing of it counts.
    """
    needs.require("live", schedule.header)
    begin(schedule, run, info)
    try:
        with (
            failure_marked(run, info),
            peer_secret(run, wanted=peer_auth) as secret,
            Supervisor() as supervisor,
        ):
            live = LiveRun(
                schedule,
                target,
                run,
                info,
                supervisor,
                fail_fast or until is not None,
                until,
                watch or Watch(),
                secret,
                certificates,
                bounds_of(schedule, max_events),
            )
            with held(live.interrupt):
                return asyncio.run(live.run())
    except Exception as error:
        if (refused := setup_error(error)) is not None:
            raise refused from None
        raise HarnessError(sentence(error)) from error


class Course(Protocol):
    """What happens in a run between its first node's start and its end: the phases of its schedule, or what is done by
    hand (`chaos.testing.by_hand`)."""

    @property
    def phase(self) -> str: ...
    async def run(self) -> None: ...


@dataclass
class LiveRun:
    """One run; `run_live` carries out a whole schedule."""

    schedule: Schedule
    target: Target
    run_dir: RunDir
    info: RunInfo
    supervisor: Supervisor
    fail_fast: bool
    until: str | None
    watch: Watch
    secret_file: Path | None
    certificates: Certificates | None
    bounds: Bounds | None = None

    epoch_us: int = field(default_factory=monotonic_us)
    zero_us: int = 0
    nemesis: Nemesis | None = None
    phases: Course | None = None
    violations: list[Violation] = field(default_factory=list)
    max_late_us: int = 0
    max_safety_late_us: int = 0
    logs: LogReader | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _stop_reason: str = ""

    def now_us(self) -> int:
        return monotonic_us() - self.epoch_us

    @property
    def phase(self) -> str:
        return self.phases.phase if self.phases is not None else "start"

    async def run(self) -> RunInfo:
        started = time.monotonic()
        with ExitStack() as files:
            try:
                self._set_up(files)
                reason = await self._until_signalled(self._run_phases())
            except BaseException as error:
                began = NEVER_BEGAN if setup_error(error) else HARNESS_FAILED
                why = f"{began}: {sentence(error)}" if isinstance(error, Exception) else "interrupted"
                # What happened is evidence all the same. If it cannot be written, the first error still counts.
                with suppress(Exception):
                    self._end(why)
                raise
            self._end(reason)
        return self._finish(time.monotonic() - started)

    def _set_up(self, files: ExitStack) -> None:
        """Opens the files of the run and starts the network; `files` closes them."""
        from raft_chaos.chaos.run.live.cluster import LiveCluster  # these while the fork server imports the nodes
        from raft_chaos.chaos.targets.session import session_of_clients

        self.open_session = session_of_clients
        header = self.schedule.header
        self.judge = Judge(
            voters=header.nodes,
            events_expected="events" in self.target.can,
            can=self.info.can,
            pace=self.info.pace,
        )
        self.harness = LineFile(self.run_dir.harness)
        files.callback(self.harness.close)
        self.history = HistoryFile(self.run_dir.history, self.judge.observe_op)
        files.callback(self.history.close)
        voters = first_voters(header.nodes, header.features)
        self.watcher = Watcher(header.nodes, self.judge.observe, self._happened, voters)
        files.callback(self.watcher.close)
        tls = {node: self.certificates.files(node) for node in header.nodes} if self.certificates else None
        self.network = network.start(
            self.target.network, self.supervisor, header.nodes, header.seed, self.run_dir.path / "proxy.log", tls
        )
        ports = files.enter_context(claimed(header.nodes, self.target.ports)) if self.target.ports else None
        self.logs = self._follow_logs(ports or {})
        if self.logs is not None:
            files.callback(self.logs.close)
        self.cluster = LiveCluster(
            supervisor=self.supervisor,
            target=self.target,
            network=self.network,
            watcher=self.watcher,
            run=self.run_dir,
            nodes=header.nodes,
            seed=header.seed,
            epoch_us=self.epoch_us,
            now_us=self.now_us,
            report=self.report,
            ports=ports,
            secret_file=self.secret_file,
            logs=self.logs,
            features=header.features,
        )

    def _follow_logs(self, ports: Ports) -> LogReader | None:
        """The reader of the nodes' logs, if lines of theirs say who leads."""
        lines = log_lines_of(self.target)
        if not lines:
            return None
        from raft_chaos.chaos.run.live.log_reader import LogReader

        named = str(self.info.config.get("foreign") or "")
        checked = is_checked(self.target)
        self.report(LogsFollowed(node=HARNESS, inc=1, t_us=self.now_us(), checked=checked, target=named))
        nodes = self.schedule.header.nodes
        return LogReader(
            lines=lines,
            folders={node: self.run_dir.node(node) for node in nodes},
            named=[line.nodes_by_name(nodes, ports, self.network.hosts) for line in lines],
            claimed=lambda claim: self.cluster.claimed(claim),
            lost=lambda why: self.report(LogsLost(node=HARNESS, inc=1, t_us=self.now_us(), why=why)),
        )

    def report(self, event: HarnessEvent) -> None:
        """Writes a harness event to its file, and passes it to the judge."""
        self.harness.write(encode(event))
        self.judge.observe(event)

    def _end(self, reason: str) -> None:
        """Kills all nodes, and reads what they wrote last."""
        try:
            if self.logs is not None:
                self.logs.finish()
            self.report(
                RunEnded(
                    node=HARNESS,
                    inc=1,
                    t_us=self.now_us(),
                    reason=reason,
                    max_late_us=self.max_late_us,
                    max_safety_late_us=self.max_safety_late_us,
                )
            )
        finally:
            self.supervisor.close()
            self.cluster.close()
        self.watcher.read()

    # ---- the phases -----------------------------------------------------------------------------------------------

    def interrupt(self, number: signal.Signals) -> None:
        """A signal's handler: ends the phases as soon as the event loop can. Clean-up and judgement stay whole."""
        reason = f"{INTERRUPTED} {words(number)}"
        if self._loop is None:
            self._stop_reason = reason  # the phases have not begun
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: self._stop(reason))

    async def _until_signalled(self, phases: Coroutine[None, None, None]) -> str:
        """Runs the phases; returns why the run ended. Signals and violations end it early."""
        self._loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(phases)

        def stop(reason: str) -> None:
            self._stop_reason = self._stop_reason or reason
            task.cancel()

        self._stop = stop
        if self._stop_reason:
            stop(self._stop_reason)
        watching = asyncio.ensure_future(self._watch())
        watching.add_done_callback(lambda w: None if w.cancelled() or not w.exception() else stop("the watcher failed"))
        try:
            await task
            self._check()
            return COMPLETED
        except asyncio.CancelledError:
            if not self._stop_reason:
                raise
            return self._stop_reason
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _run_phases(self) -> None:
        from raft_chaos.chaos.run.live.capabilities import LiveWorld  # meanwhile, too

        header = self.schedule.header
        tls = Tls(self.certificates.files(CLIENT)).calling if self.certificates is not None else None
        async with self.open_session(tls) as session, asyncio.TaskGroup() as group:
            self.session = session
            self.tasks = LiveTasks(group, lambda: self.now_us() - self.zero_us)
            self.nemesis = Nemesis(
                world=LiveWorld(self.cluster, self.network, session),
                view=self.watcher.view,
                log=FaultLog(header.nodes, self.now_us, self.report),
                nodes=header.nodes,
                tasks=self.tasks,
            )
            self.phases = self.course()
            background = [group.create_task(one) for one in (self.watcher.run(), self._sample(), self._sentinel())]
            if "leader" in self.target.can and "events" not in self.target.can:
                background.append(group.create_task(poll_status(self.target, session, self.cluster, self.watcher)))
            if self.logs is not None:
                background.append(group.create_task(self._read(self.logs)))
            await self.phases.run()
            for task in background:
                task.cancel()
            await self.target.close()

    def course(self) -> Course:
        """The phases of the schedule."""
        assert self.nemesis is not None
        return Phases(
            self.schedule,
            world=self,
            tasks=self.tasks,
            nemesis=self.nemesis,
            view=self.watcher.view,
            bound=Bound(stalled_us=RECOVERY_BOUND_US),
            recovery_owed="events" in self.target.can,
        )

    # ---- what the phases ask for ----------------------------------------------------------------------------------

    async def start(self, node: str) -> bool:
        return await self.cluster.start(node)

    def began(self) -> None:
        self.cluster.began()
        self.zero_us = self.now_us()

    def refresh(self) -> None:
        self.watcher.read()

    def client(self, name: str, place: int) -> Client:
        nodes = self.schedule.header.nodes
        door = self.target.door(self.session, lambda: {node: url for node in nodes if (url := self.cluster.url(node))})
        return Client(
            name=name,
            place=place,
            clients=len(self.schedule.header.clients) + 1,
            door=door,
            history=self.history,
            tasks=self.tasks,
            now_us=self.now_us,
            report=self.report,
        )

    def _happened(self, event: AnchorEvent, number: int, reporter: str) -> None:
        if self.nemesis is not None:
            self.nemesis.happened(event, number, reporter)

    # ---- helpers --------------------------------------------------------------------------------------------------

    async def _sentinel(self) -> None:
        """Measures how late the harness itself is while progress or recovery is owed: only a punctual harness may call
        a node slow."""
        while True:
            due_us = self.now_us() + round(SENTINEL_S * 1e6)
            await asyncio.sleep(SENTINEL_S)
            late_us = self.now_us() - due_us
            if self.phase in ("liveness", "settled"):
                self.max_late_us = max(self.max_late_us, late_us)
            elif self.phase == "safety":
                self.max_safety_late_us = max(self.max_safety_late_us, late_us)

    async def _read(self, logs: LogReader) -> None:
        while True:
            logs.read()
            await asyncio.sleep(WATCH_S)

    async def _sample(self) -> None:
        while True:
            self.cluster.sample()
            await asyncio.sleep(SAMPLE_S)

    def _check(self) -> None:
        """Finds dead nodes. Raises HarnessError for trouble of any part of the harness."""
        self.supervisor.check()
        self.network.check()
        self.cluster.find_exits()

    async def _watch(self) -> None:
        """Finds dead nodes and new violations, and informs the observer."""
        told = 0.0
        while True:
            self._check()
            for violation in self.judge.new_violations():
                self.violations.append(violation)
                self.watch.violation(violation)
                if self.fail_fast and self.until in (None, violation.invariant):
                    self._stop(f"{FAILED_FAST}, of {violation.invariant}")
            if self.bounds is not None and (met := self.bounds.met(events=self.watcher.events)):
                self._stop(f"{TOO_MUCH}: {met}")
            if time.monotonic() - told >= self.watch.every_s:
                told = time.monotonic()
                self.watch.progress(self._status())
            await asyncio.sleep(WATCH_S)

    def _status(self) -> RunStatus:
        header = self.schedule.header
        elapsed_us = self.now_us() - self.zero_us if self.zero_us else 0
        total_us = header.safety_until_us + header.liveness_for_us
        lines = [
            NodeLine(
                name,
                self.cluster.state(name),
                view.role or "",
                self.cluster.incarnation(name),
                view.term,
                view.commit_index,
                view.applied_index,
            )
            for name, view in self.watcher.nodes.items()
        ]
        faults = list(self.nemesis.log.current.values()) if self.nemesis is not None else []
        left_s = max(0, total_us - elapsed_us) / 1e6
        ops = {str(kind): number for kind, number in self.history.counts.items()}
        ops["elsewhere"] = self.history.elsewhere
        events = self.watcher.events
        return RunStatus(
            header.seed, self.phase, elapsed_us / 1e6, left_s, lines, faults, ops, events, list(self.violations)
        )

    # ---- the end --------------------------------------------------------------------------------------------------

    def _finish(self, wall_s: float) -> RunInfo:
        """Judges the files on disk, as any later check will, and completes run.json."""
        analysis = analyse(self.run_dir)
        analysis.stats["wall_s"] = round(wall_s, 3)
        return finish(self.run_dir, self.info, analysis)
