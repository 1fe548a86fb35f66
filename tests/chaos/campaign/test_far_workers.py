"""Workers that may be on other machines: batches of seeds, run directories that are sent, and code that differs.

Threads take the part of such workers here; `test_dask_workers` has real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from builders.campaigns import ALWAYS_CONVICTED, raises_on_3, settings, traces
from raft_chaos.chaos.campaign import campaign as engine
from raft_chaos.chaos.campaign.batch import MOST_SEEDS, Batch, BatchSize, run_batch
from raft_chaos.chaos.campaign.campaign import Campaign
from raft_chaos.chaos.campaign.code import Code, OtherCodeError, code, with_code
from raft_chaos.chaos.campaign.file import CampaignError, SeedFailed
from raft_chaos.chaos.campaign.seed import run_seed
from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.chaos.judgement.analysis import analyse
from raft_chaos.invariants.rundir import RunDir

THREADS: Callable[[], Executor] = partial(ThreadPoolExecutor, 2)
CONVICTED = settings(ALWAYS_CONVICTED)


def batch(seeds: list[int], *, sends: int = 9) -> Batch:
    return Batch(CONVICTED, seeds, run_seed, None, sends)


@pytest.mark.slow
def test_a_campaign_far_away_is_the_same_campaign(tmp_path: Path) -> None:
    seeds = range(1, 30)
    ends = {}
    for far in (False, True):
        with Campaign(settings(), seeds, tmp_path / str(far)) as campaign:
            ends[far] = traces(list(campaign.run(THREADS, 4, far=far)))
            assert campaign.complete and campaign.path.name
    assert ends[False] == ends[True] and len(ends[True]) == len(seeds)


def test_run_directories_are_sent_and_are_whole(tmp_path: Path) -> None:
    with Campaign(CONVICTED, [1, 2], tmp_path) as campaign:
        ends = [end for end in campaign.run(THREADS, 4, far=True) if isinstance(end, SeedResult)]
    for end in ends:
        assert end.verdict == "violated" and end.run is not None
        assert Path(end.run).parent == tmp_path
        assert analyse(RunDir(Path(end.run))).verdict == "violated"
        assert RunDir(Path(end.run)).load_info().trace_sha256 == end.trace_sha256


def test_no_more_run_directories_are_kept_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MOST_KEPT", 2)
    with Campaign(CONVICTED, range(1, 6), tmp_path) as campaign:
        ends = [end for end in campaign.run(THREADS, 5, far=True) if isinstance(end, SeedResult)]
    assert [end.run is not None for end in ends] == [True, True, False, False, False], (
        "though all are under way at once"
    )
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2
    assert all(end.verdict == "violated" and end.repro for end in ends)


def test_a_batch_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert len(run_batch(batch([1, 2], sends=1)).folders) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("field", Code._fields)
def test_other_code_is_refused_before_a_seed_runs(field: str) -> None:
    expected = code()._replace(**{field: "another"})
    with pytest.raises(OtherCodeError, match=f"has {field} .*, and this process another: install the same version"):
        with_code(expected, pytest.fail, "it is called")
    assert with_code(code(), max, 1, 2) == 2


def test_a_worker_with_other_code_ends_the_campaign(tmp_path: Path) -> None:
    with Campaign(settings(), range(1, 9), tmp_path) as campaign:
        campaign._code = code()._replace(source="another")
        with pytest.raises(CampaignError, match=r"a worker cannot run this campaign: a worker on .* has source"):
            list(campaign.run(THREADS, 4, far=True))
        assert campaign.done == 0


def test_a_worker_without_the_package_ends_the_campaign(tmp_path: Path) -> None:
    class Elsewhere(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
            return super().submit(_not_there)

    with Campaign(settings(), [1], tmp_path) as campaign, pytest.raises(CampaignError, match="No module named"):
        list(campaign.run(partial(Elsewhere, 1), 1, far=True))


def _not_there() -> None:
    raise ModuleNotFoundError("No module named 'raft_chaos'")


def test_of_a_batch_that_cannot_be_run_each_seed_is_tried_alone(tmp_path: Path) -> None:
    class Fails(ThreadPoolExecutor):
        """Like an executor that gives up a batch whose worker died again and again: here for seed 3."""

        def submit(self, fn, expected, call, one, /):  # type: ignore[no-untyped-def]
            return super().submit(fn, expected, _killed if 3 in one.seeds else call, one)

    with Campaign(settings(), range(1, 7), tmp_path) as campaign:
        ends = list(campaign.run(partial(Fails, 1), 1, far=True))
    (failed,) = [end for end in ends if isinstance(end, SeedFailed)]
    assert failed.seed == 3 and "KilledWorker" in failed.error
    assert sorted(end.seed for end in ends) == [1, 2, 3, 4, 5, 6] and campaign.done == 5


def _killed(one: Batch) -> None:
    raise RuntimeError("KilledWorker: three workers died")


def test_a_seed_on_which_the_harness_fails_does_not_end_its_batch() -> None:
    ends = run_batch(batch([1, 3])._replace(run_one=raises_on_3)).ends
    assert isinstance(ends[0], SeedResult)
    assert isinstance(ends[1], SeedFailed) and "seed 3 is not to be found" in ends[1].error


def test_a_batch_has_as_many_seeds_as_take_about_the_time() -> None:
    size = BatchSize(1.0)
    assert size.seeds == 1
    size.learn(1, 0.1)
    assert size.seeds == 4, "fourfold at most"
    size.learn(4, 0.4)
    assert size.seeds == 10
    size.learn(10, 20.0)
    assert size.seeds == 1
    for _ in range(20):
        size.learn(size.seeds, 0.0)
    assert size.seeds == MOST_SEEDS
    near = BatchSize(0)
    near.learn(1, 0.001)
    assert near.seeds == 1


def test_a_campaign_begun_near_goes_on_far_away_and_back(tmp_path: Path) -> None:
    seeds = range(1, 13)
    kept: dict[int, str] = {}
    for far in (False, True, False):
        with Campaign(settings(), seeds, tmp_path) as campaign:
            run = campaign.run(THREADS, 2, far=far)
            for end in run:
                assert isinstance(end, SeedResult) and end.seed not in kept
                kept[end.seed] = end.trace_sha256
                if len(kept) % 5 == 0:
                    run.close()
                    break
    assert kept == {seed: run_seed(settings(), seed, None).trace_sha256 for seed in kept} and len(kept) == 12


def test_what_is_too_large_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raft_chaos.chaos.campaign.batch.MOST_SENT_BYTES", 100)
    end = run_batch(batch([1]))
    (result,) = end.ends
    assert isinstance(result, SeedResult) and result.run is None and not end.folders
    assert result.verdict == "violated" and result.repro
