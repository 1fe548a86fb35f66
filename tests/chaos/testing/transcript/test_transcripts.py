"""The transcripts have the current output. `pytest tests/chaos/testing/transcript --rewrite` updates them."""

from __future__ import annotations

from pathlib import Path

import pytest

from raft_chaos.chaos.testing.transcript.script import check

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


def test_there_are_transcripts_of_every_part_of_section_5() -> None:
    names = [path.name for path in TRANSCRIPTS]
    for section in ("5_1", "5_2", "5_3", "5_3_figure_7", "5_4_1", "5_4_2_figure_8", "5_5", "5_6"):
        assert any(name.startswith(section) for name in names), section


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_transcript_has_the_current_output(path: Path, request: pytest.FixtureRequest) -> None:
    wrong = check(path, rewrite=request.config.getoption("--rewrite", default=False))
    assert not wrong, "\n".join(
        ["the transcript and the cluster differ; --rewrite accepts the current output:", *wrong]
    )
