"""Campaigns for tests: settings with which a seed takes tens of milliseconds, and seeds that end badly.

The functions are run in other processes, so they live here, where an import is cheap.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import msgspec

from raft_chaos.chaos.campaign.campaign import Campaign, SeedEnd
from raft_chaos.chaos.campaign.file import CampaignEnd, CampaignHeader, CampaignLine, SeedFailed
from raft_chaos.chaos.campaign.seed import run_seed
from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.raft.state.timing import Timing

ALWAYS_CONVICTED = "vote_not_persisted"
"""Its schedules kill leaders, and who forgets a vote then votes twice."""


def settings(mutant: str | None = None, **fields: float) -> Settings:
    sizes: dict[str, float] = {"warmup_s": 1.0, "duration_s": 2.5, "liveness_s": 0.5, "ops_per_second": 20, **fields}
    config = ScheduleConfig(nodes=3, clients=2, election_timeout_us_max=150_000, **sizes)  # type: ignore[arg-type]
    timing = Timing(100_000, 150_000, 30_000)
    return Settings(world="sim", schedule=config, timing=timing, mutant=mutant, options=["--world", "sim"])


def traces(ends: list[SeedEnd]) -> dict[int, str]:
    """The digest of each seed's trace; no seed may occur twice, and none may have failed."""
    results = [end for end in ends if isinstance(end, SeedResult)]
    assert len(results) == len(ends) == len({result.seed for result in results})
    return {result.seed: result.trace_sha256 for result in results}


def seeds_in(campaign: Campaign) -> list[int]:
    """The seeds that have a result in its file, in the order of their lines."""
    return [line.seed for line in lines_of(campaign.path) if isinstance(line, SeedResult)]


def lines_of(path: Path) -> list[CampaignLine]:
    kinds = CampaignHeader | SeedResult | SeedFailed | CampaignEnd
    return [msgspec.json.decode(line, type=kinds) for line in path.read_bytes().splitlines()]


def raises_on_3(settings: Settings, seed: int, out: Path | None) -> SeedResult:
    if seed == 3:
        raise LookupError("seed 3 is not to be found")
    return run_seed(settings, seed, out)


def dies_on_4(settings: Settings, seed: int, out: Path | None) -> SeedResult:
    """Seed 4 kills its process, as the kernel does when memory is short."""
    if seed == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return run_seed(settings, seed, out)


def dies_once(settings: Settings, seed: int, out: Path | None) -> SeedResult:
    """Seed 2 kills its process, but only the first time."""
    assert out is not None
    if seed == 2 and not (out / "died").exists():
        (out / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return run_seed(settings, seed, out)


def waits_for(pid_file: Path, go: Path) -> int:
    """Records its process id, and is busy until the file `go` exists."""
    pid_file.with_suffix(".new").write_text(str(os.getpid()))
    pid_file.with_suffix(".new").rename(pid_file)
    while not go.exists():
        time.sleep(0.01)
    return os.getpid()
