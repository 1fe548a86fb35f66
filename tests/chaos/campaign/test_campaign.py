"""The engine of campaigns: runs every seed once on any executor, saves it as it ends, and continues after a kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from functools import cache, partial
from pathlib import Path

import msgspec
import psutil
import pytest

from builders.campaigns import (
    ALWAYS_CONVICTED,
    dies_on_4,
    dies_once,
    lines_of,
    raises_on_3,
    seeds_in,
    settings,
    traces,
    waits_for,
)
from builders.processes import lives
from builders.waiting import eventually
from raft_chaos.chaos.campaign.campaign import MOST_FAILED, Campaign, SeedEnd
from raft_chaos.chaos.campaign.file import (
    CampaignEnd,
    CampaignError,
    CampaignHeader,
    SeedFailed,
    describe_campaign,
    seed_ranges,
)
from raft_chaos.chaos.campaign.seed import run_seed
from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.chaos.processes.worker_pool import WorkerPool
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.invariants.rundir import RunDir

THREADS: Callable[[], Executor] = partial(ThreadPoolExecutor, 2)
WORKERS: Callable[[], Executor] = partial(WorkerPool, 2)


@cache
def expected(seeds: range) -> dict[int, str]:
    """The digests of these seeds, each run alone."""
    return {seed: run_seed(settings(), seed, None).trace_sha256 for seed in seeds}


def whole(campaign: Campaign, executor: Callable[[], Executor] = THREADS, window: int = 4) -> list[SeedEnd]:
    return list(campaign.run(executor, window))


# ---- every seed, once --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", [THREADS, WORKERS], ids=["threads", "processes"])
def test_a_campaign_gives_the_results_of_its_single_seeds(executor: Callable[[], Executor], tmp_path: Path) -> None:
    with Campaign(settings(), range(1, 9), tmp_path) as campaign:
        ends = whole(campaign, executor)
        assert campaign.complete and not campaign.stopped and not campaign.given_up
    assert traces(ends) == expected(range(1, 9))
    header, *results, end = lines_of(campaign.path)
    assert isinstance(header, CampaignHeader) and (header.key, header.seeds) == (campaign.header.key, "1..8")
    assert msgspec.convert(header.settings, Settings) == settings()
    assert results == ends, "the file has them in the order of their ends"
    assert end == CampaignEnd(seeds=8)


def test_at_most_a_window_of_seeds_is_submitted(tmp_path: Path) -> None:
    class Watched(ThreadPoolExecutor):
        handed = 0

        def submit(self, *call, **kwargs):  # type: ignore[no-untyped-def]
            self.handed += 1
            return super().submit(*call, **kwargs)

    watched = Watched(2)
    with Campaign(settings(), range(1, 11), tmp_path) as campaign:
        for ended, _ in enumerate(campaign.run(lambda: watched, 3), 1):
            assert watched.handed <= ended - 1 + 3
    assert watched.handed == 10


def test_a_repeated_seed_runs_once(tmp_path: Path) -> None:
    with Campaign(settings(), [3, 1, 3, 2, 1], tmp_path) as campaign:
        assert campaign.seeds == [3, 1, 2]
        assert traces(whole(campaign)) == expected(range(1, 4))


def test_a_campaign_without_seeds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seeds: expected at least one, got none"):
        Campaign(settings(), [], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("seeds", "text"),
    [([7], "7"), (range(1, 201), "1..200"), ([1, 2, 3, 300, 5, 4], "1..3,300,5,4"), ([0, 2, 3], "0,2..3")],
)
def test_seeds_are_written_as_ranges(seeds: list[int], text: str) -> None:
    assert seed_ranges(seeds) == text


def test_the_key_depends_on_everything_that_decides_the_results() -> None:
    base = describe_campaign(settings(), [1, 2]).key
    assert base == describe_campaign(msgspec.structs.replace(settings(), options=["--jobs", "3"]), [1, 2]).key
    others = [
        describe_campaign(settings(), [1, 2, 3]).key,
        describe_campaign(settings(mutant=ALWAYS_CONVICTED), [1, 2]).key,
        describe_campaign(settings(ops_per_second=21), [1, 2]).key,
        describe_campaign(settings(), [1, 2], compared=True).key,
    ]
    assert len({base, *others}) == 5


# ---- going on ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", ["in the header", "in a result", "after a result", "before the end", "in the end"])
def test_a_killed_campaign_resumes_where_it_stopped(left: str, tmp_path: Path) -> None:
    seeds = range(1, 7)
    with Campaign(settings(), seeds, tmp_path) as campaign:
        whole(campaign)
    text = campaign.path.read_bytes()
    lines = text.splitlines(keepends=True)
    after = [sum(map(len, lines[:number])) for number in range(len(lines) + 1)]
    whole_lines, size = {
        "in the header": (0, 20),
        "in a result": (3, after[4] - 30),
        "after a result": (4, after[4]),
        "before the end": (7, after[7]),
        "in the end": (7, after[7] + 5),
    }[left]
    campaign.path.write_bytes(text[:size])
    kept = [line.seed for line in lines_of_bytes(lines[:whole_lines]) if isinstance(line, SeedResult)]

    with Campaign(settings(), seeds, tmp_path) as again:
        assert again.resumed == len(kept) and again.kept is None
        assert [result.seed for result in again.earlier()] == kept
        ends = whole(again)
        assert again.complete
    assert sorted([*kept, *traces(ends)]) == list(seeds), "no seed is run twice, none is left out"
    again_lines = lines_of(again.path)
    assert {line.seed: line.trace_sha256 for line in again_lines if isinstance(line, SeedResult)} == expected(seeds)
    assert again_lines[-1] == CampaignEnd(seeds=6)


def lines_of_bytes(lines: list[bytes]) -> list[object]:
    return [msgspec.json.decode(line, type=CampaignHeader | SeedResult | CampaignEnd) for line in lines]


def test_a_closed_campaign_resumes(tmp_path: Path) -> None:
    with (
        Campaign(settings(), range(1, 9), tmp_path) as campaign,
        closing(campaign.run(THREADS, 4)) as ends,
    ):
        first = [next(ends), next(ends)]
    assert len(campaign.given_up) == 3 and not campaign.complete
    with Campaign(settings(), range(1, 9), tmp_path) as again:
        assert list(again.earlier()) == first
        assert traces([*first, *whole(again)]) == expected(range(1, 9))


def test_a_completed_campaign_starts_again_and_keeps_the_old_file(tmp_path: Path) -> None:
    for number in range(3):
        with Campaign(settings(), [1, 2], tmp_path) as campaign:
            assert campaign.resumed == 0 and not list(campaign.earlier())
            assert campaign.kept == (campaign.path.with_stem(f"{campaign.path.stem}-{number}") if number else None)
            assert len(whole(campaign)) == 2
    assert len(list(tmp_path.glob("campaign-*.jsonl"))) == 3


def test_damage_that_a_kill_cannot_cause_is_an_error(tmp_path: Path) -> None:
    with Campaign(settings(), [1, 2], tmp_path) as campaign:
        whole(campaign)
    header, *results = campaign.path.read_bytes().splitlines(keepends=True)
    for damaged, said in [
        (
            [header, b"{}\n", *results],
            r"jsonl:2: not a line of this campaign \(.*kind.*\); remove the file to begin anew",
        ),
        ([*results], "jsonl:1: expected the header here, got"),
        ([header, header, *results], "jsonl:2: expected a result here, got"),
    ]:
        campaign.path.write_bytes(b"".join(damaged))
        with pytest.raises(CampaignError, match=said):
            Campaign(settings(), [1, 2], tmp_path)
        assert campaign.path.read_bytes() == b"".join(damaged), "it is left as it is"


def test_the_same_campaign_cannot_run_twice_at_once(tmp_path: Path) -> None:
    with (
        Campaign(settings(), [1, 2], tmp_path) as campaign,
        Campaign(settings(), [1, 2, 3], tmp_path),
        pytest.raises(CampaignError, match=f"{campaign.path}: this campaign is under way in another process"),
    ):
        Campaign(settings(), [1, 2], tmp_path)


# ---- stopping early ----------------------------------------------------------------------------------------------


def test_a_campaign_stops_after_the_given_number_of_violated_seeds(tmp_path: Path) -> None:
    begin = partial(Campaign, settings(mutant=ALWAYS_CONVICTED), range(1, 30), tmp_path)
    with begin(max_failures=2) as campaign:
        ends = whole(campaign, WORKERS)
    results = [end for end in ends if isinstance(end, SeedResult)]
    assert [result.verdict for result in results] == ["violated", "violated"] and len(ends) == 2
    for result in results:
        assert "one_vote_per_term" in result.violated
        assert result.run is not None and RunDir(Path(result.run)).load_info().trace_sha256 == result.trace_sha256
        assert f"--seed {result.seed} --world sim" in result.repro
    assert campaign.stopped == "2 violated, as many as were asked for" and not campaign.complete
    assert len(campaign.given_up) == 3 and not set(campaign.given_up) & set(seeds_in(campaign))

    with begin(max_failures=2) as same:
        assert same.resumed == 2 and not whole(same), "they have been found already"
        assert same.stopped
    with begin(max_failures=4) as more:
        assert len(whole(more)) == 2
    assert len(set(seeds_in(more))) == 4


def test_no_seed_starts_after_the_time_limit(tmp_path: Path) -> None:
    with Campaign(settings(), [1, 2], tmp_path, time_limit_s=0.0) as campaign:
        assert not whole(campaign)
        assert campaign.stopped == "the time limit of 0 s was reached" and not campaign.complete
    with Campaign(settings(), [1, 2], tmp_path, time_limit_s=600.0) as again:
        assert len(whole(again)) == 2
        assert again.complete and not again.stopped


class Endless(Executor):
    """Its first seed never ends."""

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        return Future()


def test_the_time_limit_gives_up_the_seeds_that_are_under_way(tmp_path: Path) -> None:
    with Campaign(settings(), [1, 2, 3], tmp_path, time_limit_s=0.01) as campaign:
        assert not whole(campaign, Endless, window=2)
        assert campaign.stopped == "the time limit of 0.01 s was reached"
        assert campaign.given_up == [1, 2]
        assert not campaign.complete
    assert not [path for path in tmp_path.iterdir() if path != campaign.path]
    with Campaign(settings(), [1, 2, 3], tmp_path) as again:
        assert len(whole(again)) == 3 and again.complete


# ---- a harness that fails ----------------------------------------------------------------------------------------


def test_a_seed_that_raises_fails_and_the_others_run(tmp_path: Path) -> None:
    with Campaign(settings(), range(1, 6), tmp_path, run_one=raises_on_3) as campaign:
        ends = whole(campaign)
        assert not campaign.complete and not campaign.stopped
    (failed,) = [end for end in ends if isinstance(end, SeedFailed)]
    assert failed.seed == 3 and failed.error == "LookupError: seed 3 is not to be found"
    assert "raises_on_3" in failed.traceback and failed.repro.endswith("run --seed 3 --world sim")
    assert sorted(seeds_in(campaign)) == [1, 2, 4, 5] and failed in lines_of(campaign.path)

    with Campaign(settings(), range(1, 6), tmp_path) as again:
        assert again.resumed == 4
        assert [end.seed for end in whole(again)] == [3], "a failure of the harness is no result"
        assert again.complete


@pytest.mark.slow
def test_a_seed_that_kills_its_worker_is_named_and_the_others_run(tmp_path: Path) -> None:
    with Campaign(settings(), range(1, 8), tmp_path, run_one=dies_on_4) as campaign:
        ends = whole(campaign, WORKERS)
        assert not campaign.complete and not campaign.stopped
    (failed,) = [end for end in ends if isinstance(end, SeedFailed)]
    assert (failed.seed, failed.error) == (4, "its worker process died, twice in a row")
    assert traces([end for end in ends if end is not failed]) == {
        seed: trace for seed, trace in expected(range(1, 8)).items() if seed != 4
    }


def test_a_seed_is_retried_after_its_worker_died_once(tmp_path: Path) -> None:
    with Campaign(settings(), [1, 2, 3], tmp_path, run_one=dies_once) as campaign:
        assert traces(whole(campaign, WORKERS)) == expected(range(1, 4))
        assert campaign.complete


def test_a_campaign_stops_when_the_harness_fails_for_every_seed(tmp_path: Path) -> None:
    with Campaign(settings(mutant="nope"), range(1, 1_000_001), tmp_path) as campaign:
        ends = whole(campaign)
    assert len(ends) == MOST_FAILED and campaign.stopped == f"the harness failed on {MOST_FAILED} seeds"
    assert all(isinstance(end, SeedFailed) and end.error == "KeyError: 'nope'" for end in ends)


# ---- workers -----------------------------------------------------------------------------------------------------


def test_an_abandoned_pool_kills_its_workers_at_once(tmp_path: Path) -> None:
    pool = WorkerPool(2)
    futures = [pool.submit(waits_for, tmp_path / f"{number}", tmp_path / "never") for number in range(2)]
    workers = [
        psutil.Process(int(eventually("a worker is busy", lambda file=file: file.exists() and file.read_text())))
        for file in (tmp_path / "0", tmp_path / "1")
    ]
    assert len({worker.pid for worker in workers}) == 2 and all(lives(worker) for worker in workers)
    pool.shutdown(wait=False)
    assert not any(lives(worker) for worker in workers)
    assert all(future.done() for future in futures)


def test_a_worker_ignores_ctrl_c(tmp_path: Path) -> None:
    with WorkerPool(1) as pool:
        future = pool.submit(waits_for, tmp_path / "pid", tmp_path / "go")
        worker = int(
            eventually("the worker is busy", lambda: (tmp_path / "pid").exists() and "yes")
            and (tmp_path / "pid").read_text()
        )
        os.kill(worker, signal.SIGINT)
        (tmp_path / "go").touch()
        assert future.result(30) == worker
