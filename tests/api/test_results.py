"""The objects that the API returns."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import raft_chaos
from raft_chaos import Campaign, OptionError, Run, UndecidedError, ViolatedError, check, run, run_seeds
from raft_chaos.api.results import SeedResult


@pytest.fixture(scope="module")
def violated(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs")
    return run(seed=5, world="sim", nodes=3, duration=4, rate=30, mutant="vote_not_persisted", out=out)


class Balanced(HTMLParser):
    """Fails for tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(html: str) -> str:
    parser = Balanced()
    parser.feed(html)
    assert not parser.open
    return parser.text


def test_a_violated_run(violated: Run) -> None:
    assert (violated.verdict, violated.valid, violated.violated) == ("violated", False, ["one_vote_per_term"])
    first = violated.violations[0]
    assert first.invariant == "one_vote_per_term" and len(first.events) == len(first.witness) == 2
    text = str(violated)
    assert text.startswith("VIOLATED one_vote_per_term") and str(first) in text
    assert text.endswith(violated.repro) and str(violated.path) in text
    with pytest.raises(ViolatedError) as error:
        violated.expect_valid()
    assert error.value.run is violated and str(error.value) == text


def test_a_notebook_shows_it(violated: Run) -> None:
    text = shown(violated._repr_html_())
    for part in (violated.violations[0].message, violated.repro, "Client operations", str(violated.path)):
        assert part in text
    assert "<Run violated" not in text
    campaign = Campaign((SeedResult(5, "violated", violated.violated, violated), SeedResult(6, "valid", [], None)))
    assert "1 violated, 1 valid" in shown(campaign._repr_html_())
    assert violated.repro in shown(campaign._repr_html_())


def test_check_judges_it_again_with_the_same_objects(violated: Run) -> None:
    again = check(str(violated.path))
    assert again.violations == violated.violations
    assert (again.verdict, again.invariants, again.repro) == (violated.verdict, violated.invariants, violated.repro)
    assert str(again) == str(violated)


def test_a_damaged_run_is_undecided(violated: Run, tmp_path: Path) -> None:
    damaged = tmp_path / "run"
    damaged.mkdir()
    for file in violated.path.rglob("*"):
        if file.is_file():
            (damaged / file.relative_to(violated.path)).parent.mkdir(parents=True, exist_ok=True)
            (damaged / file.relative_to(violated.path)).write_bytes(file.read_bytes())
    with (damaged / "harness.jsonl").open("a") as events:
        events.write("{}\n")
    again = check(damaged)
    assert again.verdict == "unknown" and not again.violations
    with pytest.raises(UndecidedError, match=r"harness\.jsonl"):
        again.expect_valid()


def test_a_campaign_counts_and_stops(tmp_path: Path) -> None:
    campaign = run_seeds(
        3, world="sim", nodes=3, duration=4, rate=30, mutant="vote_not_persisted", max_failures=1, out=tmp_path
    )
    assert campaign.verdict == "violated" and len(campaign) < 3 and "not run" in campaign.stopped
    with pytest.raises(ViolatedError):
        campaign.expect_valid()
    with pytest.raises(OptionError, match="schedule"):
        run_seeds(2, world="sim", schedule=campaign.runs[0].path / "schedule.jsonl")


def test_a_saved_schedule_runs_under_its_seed(violated: Run, tmp_path: Path) -> None:
    again = run(world="sim", schedule=violated.path / "schedule.jsonl", mutant="vote_not_persisted", out=tmp_path)
    assert again.seed == violated.seed and again.violations == violated.violations
    assert again.repro.endswith(f"--schedule {again.path / 'schedule.jsonl'}")


def test_a_valid_campaign() -> None:
    assert repr(Campaign((SeedResult(1, "valid", [], None),))) == "<Campaign valid: 1 valid>"
    assert Campaign((SeedResult(1, "valid", [], None),), "stopped").verdict == "unknown"


def test_importing_the_name_imports_nothing_else() -> None:
    code = "import sys, raft_chaos; print(*[name for name in sys.modules if name.startswith('raft_chaos')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["raft_chaos"]


def test_every_name_is_there() -> None:
    assert set(raft_chaos.__all__) <= set(dir(raft_chaos))
    for name in raft_chaos.__all__:
        assert getattr(raft_chaos, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = raft_chaos.nothing  # type: ignore[attr-defined,unused-ignore]
