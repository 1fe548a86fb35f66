"""A pytest of its own over the tests of a user, and what became of each."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

OUTCOME = re.compile(r"^(PASSED|FAILED|ERROR|SKIPPED) (?:\[\d+\] )?(\S+?)(?: - .*|:\d+: .*)?$", re.MULTILINE)


@dataclass
class Session:
    """`outcomes` has each test's by its name, `text` all that pytest said."""

    exit_code: int
    text: str
    folder: Path

    @property
    def outcomes(self) -> dict[str, str]:
        return {name.split("::")[-1]: outcome for outcome, name in OUTCOME.findall(self.text)}

    def failure_of(self, test: str) -> str:
        """What is said of one failed test."""
        found = re.search(
            rf"^_+ (?:ERROR at \w+ of )?{re.escape(test)} _+$(.*?)^(?=_+ .* _+$|=+)", self.text, re.M | re.S
        )
        assert found is not None, f"{test} is not in\n{self.text}"
        return found[1]

    @property
    def runs(self) -> list[str]:
        """The names of the run directories that are left."""
        return sorted(path.name for path in (self.folder / "runs").glob("*"))


def session(folder: Path, *options: str, ini: str = "", **files: str) -> Session:
    """Runs pytest in the folder; `files` are test modules by name."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(dedent(text), encoding="utf-8")
    (folder / "pytest.ini").write_text(f"[pytest]\nfilterwarnings = error\n{dedent(ini)}", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "--color=no", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env=environment | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Session(done.returncode, done.stdout + done.stderr, folder)
