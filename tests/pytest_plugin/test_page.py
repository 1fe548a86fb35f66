"""The examples of docs/pytest.md: those in virtual time pass, all are tests that pytest collects."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sessions import session

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_examples_of_the_page(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "pytest.md").read_text("utf-8")
    examples = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    done = session(tmp_path, "--raft-seed", "5", "-k", "our_raft or acknowledged", test_chaos=examples)
    assert done.outcomes == {
        "test_our_raft[seed5]": "PASSED",
        "test_a_new_leader_knows_what_was_acknowledged[seed5]": "PASSED",
    }
    assert "4 items / 2 deselected" in done.text
