"""The compiled modules: they are built from the sources, give the same traces, and are never old."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from raft_chaos.invariants.verdict import EXIT_VALID

sys.path.insert(0, str(Path(__file__).parents[2] / "native"))

from raft_chaos_native import hot_modules
from staging import NotCompiledRightError, check, open_to_subclasses, stage

REPOSITORY = Path(__file__).parents[2]
EVERYTHING = "pre_vote,check_quorum,membership,snapshot_every=20,cache_bytes=2000,max_sessions=6,persist_commit"
HOT = (  # some that each step goes through, of each layer
    "raft_chaos.raft.core.core",
    "raft_chaos.raft.state.log",
    "raft_chaos.raft.replica.replica",
    "raft_chaos.raft.storage.wal",
    "raft_chaos.chaos.run.nodes.stepped_node",
    "raft_chaos.chaos.run.sim.network",
    "raft_chaos.chaos.run.sim.cluster",
    "raft_chaos.invariants.judge",
)


def _can_compile() -> bool:
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    return shutil.which(compiler) is not None and Path(sysconfig.get_path("include"), "Python.h").exists()


def run(folder: Path, *words: str | Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAFT_CHAOS_PURE")}
    environment["MYPYC_OPT_LEVEL"] = "0"  # a third of the time
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH: the compiled modules, and the source that they were made of."""
    if not _can_compile():
        pytest.skip("there is no C compiler with Python's headers")
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    ignored = [line.rstrip("/") for line in (REPOSITORY / ".gitignore").read_text().splitlines()]
    shutil.copytree(REPOSITORY, source / "copy", symlinks=True, ignore=shutil.ignore_patterns(".git", *ignored))
    built = run(source, sys.executable, "-m", "build", "--outdir", source, source / "copy" / "native")
    assert built.returncode == 0, built.stdout[-5000:] + built.stderr[-5000:]
    (wheel,) = source.glob("*.whl")
    words = ("-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, wheel)
    assert run(source, sys.executable, *words).returncode == 0
    shutil.copytree(REPOSITORY / "raft_chaos", folder / "raft_chaos", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


# ---- the sources, as they are compiled -------------------------------------------------------------------------------


def test_the_sources_can_be_staged(tmp_path: Path) -> None:
    """A module that mypyc would not compile right is refused; and none of these may begin to define Structs."""
    paths, digest = stage(REPOSITORY / "raft_chaos", tmp_path)
    assert {name.replace(".", "/") + ".py" for name in HOT} <= set(paths)
    assert len(digest) == 64


def test_a_call_in_a_slice_is_refused_where_it_stands() -> None:
    check("a.py", "view = view[len(view) - 1 :]")
    with pytest.raises(NotCompiledRightError, match=r"^a.py:2: mypyc would call os.write twice; call it before$"):
        check("a.py", "while view:\n    view = view[os.write(fd, view) :]")


def test_classes_are_opened_and_lines_keep_their_numbers() -> None:
    source = (REPOSITORY / "raft" / "core" / "core.py").read_text()
    opened = open_to_subclasses(source)
    changed = [now for before, now in zip(source.splitlines(), opened.splitlines(), strict=True) if before != now]
    assert changed == ["from mypy_extensions import mypyc_attr", "@mypyc_attr(allow_interpreted_subclasses=True)"]


def test_a_module_with_structs_is_not_compiled(tmp_path: Path) -> None:
    folder = tmp_path / "raft" / "core"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("class A(msgspec.Struct, frozen=True):\n    x: int\n")
    (folder / "b.py").write_text("class B:\n    pass\n")
    assert [module.name for module in hot_modules(tmp_path)] == ["b.py"]


# ---- how compiled code reads records ---------------------------------------------------------------------------------

READER = """
static PyObject *attribute(PyObject *module, PyObject *args) {
    PyObject *object, *name;
    return PyArg_ParseTuple(args, "OO", &object, &name) ? PyObject_GetAttr(object, name) : NULL;
}
static PyMethodDef methods[] = {{"read", attribute, METH_VARARGS, ""}, {NULL}};
static struct PyModuleDef reader = {PyModuleDef_HEAD_INIT, "reader", "", -1, methods};
PyMODINIT_FUNC PyInit_reader(void) { return PyModule_Create(&reader); }
"""
READING = """
import msgspec
from reader import read

class Record(msgspec.Struct):
    value: object
    other: int = 2
    @property
    def twice(self):
        return self.other * 2

class Longer(Record):
    third: int = 3

def reads(expected, name="value"):
    for _ in range(3):  # the first time as ever, then by what was remembered
        assert read(record, name) == expected, (name, expected)

record = Record([1])
reads([1]), reads(2, "other"), reads(4, "twice")
record.value = "new"
reads("new")
record = Longer({})
reads({}), reads(3, "third")
record = Record(5)
del record.value
for _ in range(3):
    try:
        read(record, "value")
    except AttributeError:
        pass
    else:
        raise AssertionError("a deleted attribute was read")
record.value = 5
reads(5)
Record.value = property(lambda self: "of the class")  # the type has another version now
reads("of the class"), reads(2, "other")
for _ in range(3):
    for place in range(1000):  # more than are remembered
        kind = msgspec.defstruct(f"Kind{place}", [("at", int), ("value", int)])
        record = kind(place, -place)
        reads(place, "at"), reads(-place)
"""


@pytest.mark.slow
def test_the_place_of_an_attribute_is_remembered_for_one_version_of_one_type(tmp_path: Path) -> None:
    if not _can_compile():
        pytest.skip("there is no C compiler with Python's headers")
    (tmp_path / "reader.c").write_text(READER)
    header, headers = REPOSITORY / "native" / "struct_attributes.h", sysconfig.get_path("include")
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    words = ("-shared", "-fPIC", "-Wall", "-Werror", "-Wno-missing-field-initializers", "-I", headers)
    built = run(tmp_path, compiler, *words, "-include", header, "reader.c", "-o", "reader.so")
    assert built.returncode == 0, built.stderr
    done = run(tmp_path, sys.executable, "-c", READING, path=tmp_path)
    assert done.returncode == 0, done.stderr


# ---- compiled -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_hot_module_is_compiled(installed: Path, tmp_path: Path) -> None:
    code = f"""
import importlib, json
print(json.dumps([importlib.import_module(name).__file__ for name in {HOT!r}]))
"""
    done = run(tmp_path, sys.executable, "-c", code, path=installed)
    assert done.returncode == 0, done.stderr
    assert [Path(file).suffix for file in json.loads(done.stdout)] == [".so"] * len(HOT)


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--features", EVERYTHING),
        ("--mutant", "ack_before_sync"),  # of the core
        ("--mutant", "snapshot_drops_sessions"),  # of the machine
        ("--mutant", "sync_error_ignored"),  # of the log
    ],
    ids=["right core", "everything", "core", "machine", "log"],
)
def test_both_give_the_same_traces(installed: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    program = (sys.executable, "-c", "from raft_chaos.chaos.cli.entry import main; main()")
    words = ("selfcheck", "--native", "--seeds", "1..5", "--duration", "6", "--json")
    done = run(tmp_path, *program, *words, *more, path=installed)
    assert done.returncode == EXIT_VALID, done.stdout + done.stderr
    assert json.loads(done.stdout)["equal"] == 5


@pytest.mark.slow
def test_what_was_compiled_from_other_sources_is_not_used(installed: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(installed, changed)
    core = changed / "raft_chaos" / "raft" / "core" / "core.py"
    core.write_text(core.read_text() + "# another byte\n")
    done = run(tmp_path, sys.executable, "-c", "import raft_chaos; print(raft_chaos.WHY_PURE)", path=changed)
    assert done.stdout == "it was compiled from other sources than these; install it again\n"
