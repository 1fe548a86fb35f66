"""`serve`: the list, the report of a run, a run while it goes on, campaigns and explorations while they grow."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

import report_builders as sample
from cli.serve.serving import Server, serving
from raft_chaos.chaos.campaign.file import CampaignEnd, CampaignHeader
from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.chaos.cli.read.run_names import SETTLED_S
from raft_chaos.chaos.cli.serve import seals
from raft_chaos.chaos.exploration.journal import AttemptEnded, ExplorationHeader, packed
from raft_chaos.invariants import events
from raft_chaos.invariants.events import HARNESS, NodeKilled
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.seal import seal
from raft_chaos.invariants.verdict import Outcome


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def server(runs: Path) -> Iterator[Server]:
    with serving(runs) as server:
        yield server


def settled(path: Path) -> Path:
    """As if nothing had been written for long."""
    for one in (path, *path.rglob("*")):
        then = one.lstat().st_mtime - 10 * SETTLED_S
        os.utime(one, (then, then), follow_symlinks=False)
    return path


def badges(text: str) -> list[tuple[str, str]]:
    """The runs of a list, in order: name and state."""
    return re.findall(r'<li class="run (\w+)" id="run-([^"]+)"', text)


# ---- the list ----------------------------------------------------------------------------------------------------


def test_the_list_has_runs_that_go_on_first_then_the_newest(server: Server, runs: Path) -> None:
    later, latest = "2025-03-02T12:00:00+00:00", "2025-03-03T12:00:00+00:00"
    sample.five_nodes(runs / "old", sample.info())
    sample.five_nodes(runs / "new", sample.violated_info(started_at=later))
    sample.five_nodes(runs / "on", sample.info(state="running", verdict=None, invariants=[]))
    settled(sample.five_nodes(runs / "killed", sample.info(state="running", verdict=None, started_at=latest)).path)
    text = server.get("/").text
    assert badges(text) == [("running", "on"), ("interrupted", "killed"), ("violated", "new"), ("valid", "old")]
    assert "election_safety: n1 and n3 both led term 2" in text and "seed 42, live, raft" in text
    assert "4 runs: " in text and 'data-every="2000"' in text


def test_the_list_follows_what_changes(server: Server, runs: Path) -> None:
    assert "There is no run here yet" in server.get("/").text
    run = sample.five_nodes(runs / "one", sample.info(state="running", verdict=None))
    assert badges(server.get("/").text) == [("running", "one")]
    run.save_info(sample.violated_info())
    assert badges(server.get("/").text) == [("violated", "one")]
    shutil.rmtree(run.path)
    assert badges(server.get("/").text) == []


def sealed(path: Path, info: RunInfo) -> RunDir:
    run = sample.five_nodes(path, info)
    run.save_info(replace(info, evidence=seal(run)))
    return run


def states(server: Server) -> dict[str, str]:
    return {name: state for state, name in badges(server.get("/").text)}


def test_a_damaged_run_is_unknown_and_is_what_it_was_once_that_is_undone(server: Server, runs: Path) -> None:
    file = sealed(runs / "one", sample.violated_info()).history
    sealed(runs / "two", sample.info())
    assert states(server) == {"one": "violated", "two": "valid"}
    good = file.read_bytes()
    file.write_bytes(good.replace(b"n1", b"n2", 1) if b"n1" in good else good[::-1])
    text = server.get("/").text
    assert states(server) == {"one": "unknown", "two": "valid"}
    assert "its files are damaged: history.jsonl: has other content than when the run ended" in text
    assert "both led term 2" not in text
    file.write_bytes(good)
    assert states(server) == {"one": "violated", "two": "valid"}
    (runs / "two" / "nodes" / "n1" / "events-9.jsonl").write_text("{}")
    text = server.get("/").text
    assert states(server) == {"one": "violated", "two": "unknown"} and "was added after the run had ended" in text


def test_a_run_json_that_was_edited_is_damaged(server: Server, runs: Path) -> None:
    file = sealed(runs / "one", sample.violated_info()).run_json
    file.write_text(file.read_text().replace('"violated"', '"valid"'))
    assert badges(server.get("/").text) == [("unknown", "one")]


def test_a_seal_is_checked_once_and_by_no_more_than_the_time_allows(
    server: Server, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        sealed(runs / name, sample.info())
    monkeypatch.setattr(seals, "CHECKING_S", 0)
    text = server.get("/").text
    assert text.count("not yet checked for damage") == 2
    monkeypatch.setattr(seals, "CHECKING_S", 600)
    assert "not yet checked for damage" not in server.get("/").text
    monkeypatch.setattr(seals, "changed", lambda run, info: pytest.fail("checked again"))
    assert states(server) == {"one": "valid", "two": "valid"}


def test_no_text_of_a_run_becomes_html(server: Server, runs: Path) -> None:
    evil = '"><script>alert(1)</script>'
    sample.five_nodes(runs / 'a"><b>', sample.violated_info(target=evil, started_at=evil, state="running"))
    (runs / "damaged").mkdir()
    (runs / "damaged" / "run.json").write_text('{"seed": 1, "world": "<i>", "state": "", "repro": "", "nodes": 7}')
    for target in ("/", "/runs/a%22%3E%3Cb%3E/", "/runs/a%22%3E%3Cb%3E/files/", "/runs/%3Ci%3E/"):
        text = server.get(target).text
        assert "<script>alert" not in text and "<b>" not in text and "<i>" not in text
    assert ("damaged", "damaged") in badges(server.get("/").text)


# ---- a run that has ended ----------------------------------------------------------------------------------------


def test_a_report_that_is_there_is_shown_with_the_way_back(server: Server, runs: Path) -> None:
    run = sample.five_nodes(runs / "one", sample.info())
    (run.path / "report.html").write_text('<body>\n<header class="first valid"><p>kept</p></header>')
    text = server.get("/runs/one/").text
    assert '<a href="/">All runs</a>' in text and text.endswith("<p>kept</p></header>")
    assert server.made == []


def test_a_report_is_made_once_if_there_is_none_and_nothing_is_written(server: Server, runs: Path) -> None:
    run = sample.five_nodes(runs / "one", sample.violated_info())
    before = sorted(path for path in run.path.rglob("*"))
    first = server.get("/runs/one/")
    assert first.status == 200 and "n1 and n3 both led term 2" in first.text and "All runs" in first.text
    assert server.get("/runs/one/").body == first.body
    assert server.made == ["one"] and sorted(run.path.rglob("*")) == before
    (run.path / "report.html").write_text("of before the verdict")
    then = run.run_json.stat().st_mtime - 1
    os.utime(run.path / "report.html", (then, then))
    assert server.get("/runs/one/").body == first.body


def test_a_run_that_cannot_be_reported_says_why(server: Server, runs: Path, tmp_path: Path) -> None:
    run = sample.five_nodes(runs / "one", sample.info(state="running", verdict=None))
    run.order.symlink_to(tmp_path / "elsewhere")
    answer = server.get(f"/runs/{settled(run.path).name}/")
    assert answer.status == 422 and "is a symbolic link, which is not followed here" in answer.text


def test_a_missing_slash_is_added(server: Server, runs: Path) -> None:
    sample.five_nodes(runs / "one", sample.info())
    answer = server.get("/runs/one")
    assert (answer.status, answer.headers["Location"]) == (302, "/runs/one/")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


# ---- a run that goes on ------------------------------------------------------------------------------------------


def test_a_run_that_goes_on_is_shown_as_it_stands_until_its_report(
    server: Server, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raft_chaos.chaos.cli.serve.followed.READ_EVERY_S", 0)
    monkeypatch.setattr("raft_chaos.chaos.cli.serve.followed.PICTURE_EVERY_S", 0)
    monkeypatch.setattr("raft_chaos.chaos.cli.serve.followed.SHARE", 1e9)
    run = sample.five_nodes(runs / "one", sample.info(state="running", verdict=None, invariants=[]))
    whole = server.get("/runs/one/").text
    assert "going on" in whole and 'id="library"' in whole and 'data-every="1000"' in whole
    assert server.get("/runs/one/picture.json").text.startswith('{"$schema"')

    line = events.encode(NodeKilled(node=HARNESS, inc=1, t_us=10**9, subject="n3", subject_inc=1))
    with run.harness.open("ab") as file:
        file.write(line)
    news = server.get("/runs/one/?fresh").text
    assert 'id="library"' not in news and re.search(r"n3</th><td><i[^>]*></i>down", news)
    numbers = [re.search(r'data-drawn-picture="(\d+)"', text) for text in (whole, news)]
    assert [number and number[1] for number in numbers] == ["1", "2"], "there is a newer picture"

    run.save_info(sample.info())
    assert 'data-every="0"' in server.get("/runs/one/?fresh").text, "there is another page now"
    assert "valid" in server.get("/runs/one/").text and server.made == ["one"]


def test_a_run_that_cannot_be_followed_says_why(server: Server, runs: Path) -> None:
    run = sample.five_nodes(runs / "one", sample.info(state="running", verdict=None, invariants=[]))
    with run.harness.open("ab") as file:
        file.write(b"{}\n")
    assert "one cannot be followed: " in server.get("/runs/one/").text


# ---- a campaign --------------------------------------------------------------------------------------------------

HEADER = CampaignHeader(key="ab", world="sim", seeds="1..4", source="", commit=None, python="", settings={})


def result(seed: int, verdict: Outcome = "valid", run: str | None = None) -> SeedResult:
    violated = ["election_safety"] if verdict == "violated" else []
    return SeedResult(
        seed=seed,
        verdict=verdict,
        violated=violated,
        unknown=[],
        vacuous=[],
        trace_sha256="",
        stats={},
        run=run,
        repro=f"raft-chaos run --seed {seed}",
    )


def append(file: Path, *lines: msgspec.Struct) -> None:
    with file.open("ab") as opened:
        for line in lines:
            opened.write(msgspec.json.encode(line) + b"\n")


def cells(text: str) -> list[str]:
    return re.findall(r'<li id="seed-\d+"><\w+ class="cell (\w+)"', text)


def test_the_cells_of_a_campaign_fill_as_seeds_end(server: Server, runs: Path) -> None:
    file = runs / "campaign-ab.jsonl"
    append(file, HEADER, result(2))
    address = "/campaigns/campaign-ab.jsonl/"
    assert cells(server.get(address).text) == ["pending", "valid", "pending", "pending"]
    assert 'data-every="2000"' in server.get("/").text and ("running", file.name) in badges(server.get("/").text)

    sample.five_nodes(runs / "found", sample.violated_info())
    append(file, result(3, "violated", "/elsewhere/found"))
    text = server.get(address).text
    assert cells(text) == ["pending", "valid", "violated", "pending"] and 'href="/runs/found/"' in text

    append(file, result(1), result(2), result(4), CampaignEnd(seeds=4))
    text = server.get(f"{address}?fresh").text
    assert cells(text) == ["valid", "valid", "violated", "valid"] and 'data-every="0"' in text
    assert "4 seeds: 1 violated, 3 valid" in text, "a seed that ran again counts once"
    assert ("violated", file.name) in badges(server.get("/").text)


def test_a_campaign_that_begins_anew_is_another_one(server: Server, runs: Path) -> None:
    file = runs / "campaign-ab.jsonl"
    append(file, HEADER, result(1), result(2))
    address = "/campaigns/campaign-ab.jsonl/"
    assert cells(server.get(address).text).count("valid") == 2
    file.rename(runs / "campaign-ab-1.jsonl")
    append(file, HEADER, result(3, "unknown"))
    assert cells(server.get(address).text) == ["pending", "pending", "unknown", "pending"]
    assert cells(server.get("/campaigns/campaign-ab-1.jsonl/").text).count("valid") == 2


def test_a_file_that_is_no_campaign_is_not_listed(server: Server, runs: Path) -> None:
    (runs / "campaign-1.jsonl").write_bytes(b"[]\n")
    assert badges(server.get("/").text) == []
    assert server.get("/campaigns/campaign-1.jsonl/").status == 422


# ---- an exploration ----------------------------------------------------------------------------------------------

EXPLORATION = ExplorationHeader(key="0" * 12, seed=7, ways=["fresh"], source="", python="", mutant="old_term_commit")


def attempt(number: int, states: int, violated: list[str] | None = None) -> AttemptEnded:
    return AttemptEnded(
        number=number,
        way="fresh",
        seed=7 + number,
        states=states,
        new=packed({number * 100 + state: 1 for state in range(states)}),
        cpu_s=0.5,
        verdict="violated" if violated else "valid",
        violated=violated or [],
    )


def test_an_exploration_is_listed_and_its_page_grows(server: Server, runs: Path) -> None:
    folder = runs / f"explore-{EXPLORATION.key}"
    folder.mkdir()
    append(folder / "journal.jsonl", EXPLORATION, attempt(0, 3))
    listed, address = server.get("/").text, f"/explorations/{folder.name}/"
    assert f'href="{address}"' in listed and "1 exploration" in listed and "1 run, 3 states, 0 failures" in listed

    page = server.get(address).text
    assert "our Raft with mutant old_term_commit, seed 7" in page and "States over time" in page
    append(folder / "journal.jsonl", attempt(1, 2, ["leader_commits_own_term"]))
    page = server.get(f"{address}?fresh").text
    assert "2 runs, 5 states, 1 failure" in page and "leader_commits_own_term" in page


@pytest.mark.parametrize("name", ["explore-000000000000", "explore-1", "..", "campaign-1.jsonl"])
def test_a_folder_that_is_no_exploration_is_not_shown(server: Server, runs: Path, name: str) -> None:
    with suppress(FileExistsError):
        (runs / name).mkdir()
    assert server.get(f"/explorations/{name}/").status == 404
    assert badges(server.get("/").text) == []


def test_a_journal_behind_a_link_is_not_shown(server: Server, runs: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    append(elsewhere / "journal.jsonl", EXPLORATION, attempt(0, 3))
    (runs / "explore-000000000000").symlink_to(elsewhere)
    (runs / "explore-000000000001").mkdir()
    (runs / "explore-000000000001" / "journal.jsonl").symlink_to(elsewhere / "journal.jsonl")
    for number in (0, 1):
        assert server.get(f"/explorations/explore-{number:012}/").status == 404


def test_a_journal_that_is_damaged_says_so(server: Server, runs: Path) -> None:
    folder = runs / "explore-000000000000"
    folder.mkdir()
    (folder / "journal.jsonl").write_bytes(b"[]\n")
    answer = server.get(f"/explorations/{folder.name}/")
    assert answer.status == 422 and "cannot be read as an exploration" in answer.text
