"""A batch of seeds: what a campaign hands to a worker at once, and what comes back.

    run_batch     in the worker: runs each seed, and returns the lines of the campaign's file
    BatchSize     in the campaign: how many seeds make a batch that takes about so long
    unpacked      in the campaign: writes the run directories that came with a batch

A worker on this machine gets seeds one at a time, and writes run directories where they stay. A worker elsewhere
(`far`) does not share a folder with the campaign, and each call costs a way over the network. So it gets as many seeds
as take about a second, and sends the directories of those that are not valid, each as one compressed file.

A worker that has other code would give other results under the same seeds, so it refuses the batch (`code`).
"""

from __future__ import annotations

import io
import time
import traceback
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from raft_chaos.chaos.campaign.file import SeedFailed
from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.chaos.processes.supervisor import temporary_folder
from raft_chaos.chaos.run.settings import Settings, new_run_dir, repro
from raft_chaos.invariants.rundir import RunDir

SeedEnd: TypeAlias = SeedResult | SeedFailed
RunSeed: TypeAlias = Callable[[Settings, int, Path | None], SeedResult]
"""Runs one seed, and writes its run directory, if it leaves one, into the folder. Must be importable by name."""

LEAST_S, CALLS_PER_S = 1.0, 100
"""A batch of a worker elsewhere takes about so long at least, since the call costs a few milliseconds; and longer where
there are so many workers that all together would make more calls a second."""
MOST_SEEDS = 1_000
MOST_SENT, MOST_SENT_BYTES = 8, 16 * 1024 * 1024
"""So many run directories a batch sends at most, and none that is larger, compressed: its seed makes it again."""

_lines = msgspec.json.Decoder(list[SeedEnd])
_encode = msgspec.json.Encoder().encode


class Batch(NamedTuple):
    """Seeds to run, each by `run_one`. `out` is where run directories are written, None for a worker elsewhere, which
    sends `sends` of them at most."""

    settings: Settings
    seeds: Sequence[int]
    run_one: RunSeed
    out: Path | None
    sends: int = MOST_SENT


class BatchEnd(NamedTuple):
    """How the seeds of a batch ended, as JSON: the results are many, and small. `folders` are run directories, zipped,
    by seed. `took_s` is how long all took."""

    lines: bytes
    folders: dict[int, bytes]
    took_s: float

    @property
    def ends(self) -> list[SeedEnd]:
        return _lines.decode(self.lines)


def run_batch(batch: Batch) -> BatchEnd:
    """Runs in the worker, which has the code of the campaign (`code.with_code`)."""
    began_s = time.monotonic()
    folders: dict[int, bytes] = {}
    if batch.out is not None:
        ends = [_attempt(batch, seed, batch.out) for seed in batch.seeds]
    else:
        with temporary_folder() as temp:
            ends = [_packed(_attempt(batch, seed, temp), folders, batch.sends) for seed in batch.seeds]
    return BatchEnd(_encode(ends), folders, time.monotonic() - began_s)


def lasts_s(workers: int) -> float:
    """How long a batch should take for one of so many workers elsewhere."""
    return max(LEAST_S, workers / CALLS_PER_S)


def unpacked(end: SeedEnd, folder: bytes, out: Path) -> SeedEnd:
    """The same, with the run directory that came with it written into `out`. Raises SetupError, OSError."""
    assert isinstance(end, SeedResult), "only a run leaves a directory"
    run = new_run_dir(out, end.seed)
    with zipfile.ZipFile(io.BytesIO(folder)) as packed:
        packed.extractall(run.path)
    return replace(end, run=str(run.path))


class BatchSize:
    """How many seeds make a batch, by the time that earlier ones took. With `lasts_s` 0 it is always one."""

    def __init__(self, lasts_s: float) -> None:
        self._lasts_s = lasts_s
        self.seeds = 1

    def learn(self, seeds: int, took_s: float) -> None:
        """A batch of so many took so long. The next ones grow fourfold at most, since seeds differ."""
        if self._lasts_s:
            wanted = round(self._lasts_s * seeds / max(took_s, 1e-6))
            self.seeds = max(1, min(wanted, 4 * self.seeds, MOST_SEEDS))


def failure(settings: Settings, seed: int, out: Path, error: str, trace: str = "") -> SeedFailed:
    """The end of a seed on which the harness failed."""
    return SeedFailed(seed=seed, error=error, traceback=trace, repro=repro(settings, seed, RunDir(out)))


def _attempt(batch: Batch, seed: int, out: Path) -> SeedEnd:
    """Turns an error into a value, since not every exception can be sent to another process."""
    try:
        return batch.run_one(batch.settings, seed, out)
    except Exception as error:
        return failure(batch.settings, seed, out, f"{type(error).__name__}: {error}", traceback.format_exc())


def _packed(end: SeedEnd, folders: dict[int, bytes], most: int) -> SeedEnd:
    """The same, with its run directory put into `folders`, if there is room for it there."""
    if isinstance(end, SeedFailed) or end.run is None:
        return end
    if len(folders) < most and len(packed := _zipped(Path(end.run))) <= MOST_SENT_BYTES:
        folders[end.seed] = packed
    return replace(end, run=None)


def _zipped(folder: Path) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(folder.rglob("*")):
            packed.write(file, file.relative_to(folder))
    return written.getvalue()
