"""Our own Raft as a target, or one of its mutants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from raft_chaos.chaos.faults.abilities import OURS, Abilities
from raft_chaos.chaos.processes.first_steps import MainOf
from raft_chaos.chaos.processes.shortage import HarnessError
from raft_chaos.chaos.schedule.streams import stream_seed
from raft_chaos.chaos.targets import our_api
from raft_chaos.chaos.targets.certificates import Certificates
from raft_chaos.chaos.targets.door import Door
from raft_chaos.chaos.targets.http import HttpSession
from raft_chaos.chaos.targets.protocol import (
    START_TIMEOUT_S,
    EndedError,
    Launch,
    NetworkName,
    Running,
    Status,
    TargetError,
    tail,
)
from raft_chaos.raft.server.exit_codes import EXIT_STARVED
from raft_chaos.raft.server.node_config import NodeConfig
from raft_chaos.raft.state.timing import Timing

if TYPE_CHECKING:
    from raft_chaos.chaos.processes.supervisor import Supervisor

NODE_MAIN = MainOf("targets.raft_process:node_main")
ENDING_S = 5.0
"""How long a node may take from its last word to its end."""


@dataclass(frozen=True)
class RaftTarget:
    """Our own Raft, or one of its mutants. With certificates, all its connections use TLS."""

    timing: Timing
    mutant: str | None = None
    certificates: Certificates | None = None

    name: ClassVar[str] = "raft"
    can: ClassVar[Abilities] = OURS
    network: ClassVar[NetworkName] = "frames"
    ports: ClassVar[tuple[str, ...]] = ()
    """None: each incarnation takes free ports, and says which."""
    link_port: ClassVar[str | None] = None

    def start(self, supervisor: Supervisor, launch: Launch) -> Running:
        folder = launch.run.node(launch.node)
        config = NodeConfig(
            cluster=f"run-{launch.seed}",
            node=launch.node,
            peers=dict(launch.peers),
            data_dir=str(folder / "data"),
            timing=self.timing.with_features(launch.features),
            seed=stream_seed(launch.seed, f"timer/{launch.node}/{launch.incarnation}"),
            incarnation=launch.incarnation,
            epoch_us=launch.epoch_us,
            clock=launch.clock,
            events_file=str(launch.run.node_events(launch.node, launch.incarnation)),
            journal_file=str(launch.run.node_journal(launch.node, launch.incarnation)),
            fault_disk=True,
            failing=launch.failing,
            commit_timeout_s=2.0,
            secret_file=str(launch.secret_file) if launch.secret_file is not None else None,
            tls=self.certificates.files(launch.node) if self.certificates is not None else None,
        )
        ours, theirs = supervisor.pipe()
        stderr = folder / "stderr.log"
        child = supervisor.start(launch.node, NODE_MAIN, config, self.mutant, theirs, stderr=stderr)
        theirs.close()
        if ours.poll(START_TIMEOUT_S):
            try:
                raft_port, http_url = ours.recv()
                launch.route(raft_port)
                return Running(child, http_url, ours, starved=EXIT_STARVED)
            except EOFError:
                child.wait(ENDING_S)  # it ends; its stderr says why
        ended_by_itself = child.exit_code
        child.kill()
        if ended_by_itself == EXIT_STARVED and (launch.failing is None or launch.failing.error != "ENOSPC"):
            raise HarnessError(f"{launch.node} had too little of this machine to start: {tail(stderr, lines=1)}")
        if ended_by_itself is not None:
            raise EndedError(launch.node, ended_by_itself, tail(stderr))
        raise TargetError(f"{launch.node} did not start: {tail(stderr)}")

    def door(self, session: HttpSession, urls: Callable[[], Mapping[str, str]]) -> Door:
        return our_api.HttpDoor(session, urls, knows_repeats=True)

    async def status(self, session: HttpSession, url: str) -> Status | None:
        return await our_api.status(session, url)

    async def close(self) -> None:
        """Doors hold nothing but the session."""
