"""The tables of kinds by worlds: a fault without an effect, a wrong verdict and an absent place are named."""

from __future__ import annotations

import msgspec

from raft_chaos.invariants.exposure import Exposure
from raft_chaos.reports.campaign.effects import effects_markdown, effects_page, effects_problems, effects_tables


class Found(msgspec.Struct, frozen=True):
    kind: str
    place: str
    exposure: Exposure
    tried: int = 4
    drawn: int = 2
    violated: list[int] = []
    lacking: str = ""

    @property
    def is_inert(self) -> bool:
        return not self.lacking and not self.exposure.effective


def _met(kind: str, effective: int = 3) -> Exposure:
    return Exposure(kind=kind, planned=6, injected=5, effective=effective, in_election=2, nodes=7)


WELL = [Found("kill", "sim", _met("kill")), Found("kill", "live", _met("kill")), Found("clog", "sim", _met("clog"))]


def test_a_row_for_each_kind_and_a_column_for_each_place() -> None:
    effective, drawn = effects_tables(WELL)
    assert [column.header for column in effective.columns] == ["fault", "sim", "live"]
    assert effective.rows == [
        ["kill", "3/5, 2 in elections", "3/5, 2 in elections"],
        ["clog", "3/5, 2 in elections", ""],
    ]
    assert drawn.rows[1] == ["clog", "2/4, 7 nodes", ""]
    assert effects_problems(WELL) == []
    assert effects_page(WELL, 80)[-1] == "2 kinds in 2 places: each had an effect wherever it exists."


def test_what_is_wrong_is_named() -> None:
    found = [
        Found("kill", "sim", _met("kill", 0)),
        Found("wipe", "sim", Exposure(kind="wipe"), tried=400, drawn=0),
        Found("clog", "sim", _met("clog"), violated=[3, 7]),
        Found("clog", "live netns", Exposure(kind="clog"), lacking="no namespaces"),
    ]
    assert effects_problems(found) == [
        "NO EFFECT: kill in sim: of 5 that struck.",
        "NO EFFECT: wipe in sim: no seed of 400 draws it.",
        "VIOLATED: clog in sim: seeds 3, 7, without any mutant.",
        "Not on this machine: live netns: no namespaces",
    ]
    page = effects_markdown(found, "raft-chaos effects")
    assert "| kill    | NO EFFECT " in page and "- NO EFFECT: kill in sim" in page
