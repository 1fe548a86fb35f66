"""The examples of docs/python.md say what they give."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def examples(page: str) -> str:
    return "\n".join(re.findall(r"```pycon\n(.*?)```", page, re.DOTALL))


@pytest.mark.slow
def test_the_examples_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = examples(PAGE.read_text("utf-8"))
    test = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    said: list[str] = []
    runner = doctest.DocTestRunner()
    runner.run(test, out=said.append)
    assert runner.summarize(verbose=False) == (0, len(test.examples)), "".join(said)
    assert len(test.examples) > 15
