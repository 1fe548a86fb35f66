"""What a reproduction keeps of somebody else's system, for each way to describe one."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from builders.schedules import TIMING, schedule
from raft_chaos.chaos.reproduction.system import on_this_machine, system_of
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.targets.protocol import TargetError

ROOT = Path(__file__).parents[3]
CONFIG = ScheduleConfig(can=("get", "put", "kill"))


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def settings(**options: str) -> Settings:
    return Settings(world="live", schedule=CONFIG, timing=TIMING, **options)  # type: ignore[arg-type]


def digest(file: str) -> str:
    return sha256((ROOT / file).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("options", "name", "files"),
    [
        ({"foreign": "examples/shelf.toml"}, "shelf", ["examples/shelf.toml", "examples/shelf.py"]),
        ({"foreign": "examples.shelf_target:Shelf"}, "shelf", ["examples/shelf_target.py"]),
        ({"foreign": "stdio:python3 examples/stdio_primary.py"}, "stdio", ["examples/stdio_primary.py"]),
        ({"command": "python3 examples/shelf.py {node} {data}"}, "command", ["examples/shelf.py"]),
    ],
)
def test_the_files_of_a_system_are_told_apart(options: dict[str, str], name: str, files: list[str]) -> None:
    system = system_of(settings(**options))
    assert (system.name, system.can, system.network) == (name, ["get", "put", "kill"], None)
    assert [(file.path, file.sha256) for file in system.files] == [(file, digest(file)) for file in files]
    assert system.text == ((ROOT / files[0]).read_text() if files[0].endswith(".toml") else "")
    assert on_this_machine(system, ROOT) == (system, [])


def test_the_settings_of_a_system_are_the_options_of_the_run() -> None:
    """So that the printed command repeats a run of the reproduction."""
    system = system_of(settings(foreign="examples/shelf.toml", network="none"))
    again = system.settings(TIMING, schedule(nodes=4).header)
    assert (again.foreign, again.network, again.timing) == ("examples/shelf.toml", "none", TIMING)
    assert again.options == [
        *("--election-timeout", "30-60", "--heartbeat", "10"),
        *("--target", "examples/shelf.toml", "--network", "none"),
    ]
    assert again.target().network == "none"


def test_a_class_of_a_version_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (ROOT / "examples" / "shelf_target.py").read_text()
    module = tmp_path / "versioned_shelf.py"
    module.write_text(source.replace('    name = "shelf"', '    name = "shelf"\n    version = "1.2"'))
    monkeypatch.syspath_prepend(tmp_path)
    system = system_of(settings(foreign="versioned_shelf:Shelf"))
    assert (system.version, [file.path for file in system.files]) == ("1.2", [str(module)])
    monkeypatch.setattr("versioned_shelf.Shelf.version", "1.3")
    _, told = on_this_machine(system, tmp_path)
    assert told == ["versioned_shelf:Shelf is version 1.3; the failure was found with 1.2"]


def test_a_system_that_is_gone_is_an_error(tmp_path: Path) -> None:
    system = system_of(settings(foreign="stdio:python3 examples/stdio_primary.py"))
    with pytest.raises(TargetError, match="no program 'nosuch'"):
        on_this_machine(msgspec.structs.replace(system, target="stdio:nosuch"), tmp_path)
