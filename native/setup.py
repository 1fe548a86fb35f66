"""Compiles the hot modules of raft-chaos with mypyc, from a copy of the sources (`staging`).

`sources.json` keeps the digest of the sources: a build that does not belong to the source beside it is not used. With
`struct_attributes.h` the modules read records of msgspec fast.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from raft_chaos_native import COMPILED  # noqa: E402
from staging import stage  # noqa: E402

PACKAGE = HERE / "raft_chaos"  # a link to the package in a checkout, the package itself in a source distribution
STAGED = HERE / "build" / "staged"
GROUP = "raft_chaos_native"
BUILDING = {"bdist_wheel", "build", "build_ext", "editable_wheel", "install"}


def compiled(paths: list[str]) -> list[Extension]:
    """The C code of these modules, ready to be built."""
    from mypyc.build import mypycify

    before = Path.cwd()
    os.chdir(STAGED)  # the names of modules, and the paths in tracebacks, begin here
    try:
        extensions: list[Extension] = mypycify(
            ["--config-file", str(HERE / "pyproject.toml"), *paths],
            opt_level=os.environ.get("MYPYC_OPT_LEVEL", "3"),  # the tests have no time for it
            debug_level="0",
            multi_file=True,
            group_name=GROUP,
            target_dir=str(HERE / "build" / "c"),
        )
    finally:
        os.chdir(before)
    if os.name == "posix":  # gcc and clang; Microsoft's compiler reads attributes the slow way
        include = ["-include", str(HERE / "struct_attributes.h")]
        for extension in extensions:  # the list of arguments is the same for all
            extension.extra_compile_args = [*extension.extra_compile_args, *include]
    return extensions


class Build(build_ext):
    """Builds the modules in parallel, into a folder of this package: nothing of raft-chaos itself is replaced."""

    digest = ""

    def build_extensions(self) -> None:
        """One library has nearly all the code, and setuptools compiles the files of a library one by one."""
        compile_all = self.compiler.compile
        with ThreadPoolExecutor(os.cpu_count()) as threads:

            def compile_each(sources: list[str], *given: Any, **named: Any) -> list[str]:
                made = threads.map(lambda source: compile_all([source], *given, **named), sources)
                return [file for files in made for file in files]

            self.compiler.compile = compile_each
            super().build_extensions()

    def run(self) -> None:
        super().run()
        Path(self.build_lib, GROUP, "sources.json").write_text(json.dumps({"sha256": self.digest}))

    def get_ext_fullpath(self, ext_name: str) -> str:
        return str(Path(self.build_lib, GROUP, COMPILED, self.get_ext_filename(ext_name)))


# Other commands of setuptools read this file, too. For them a stand-in says that the wheel depends on the platform.
modules = [Extension(GROUP, [])]
if BUILDING.intersection(sys.argv):
    to_compile, Build.digest = stage(PACKAGE, STAGED)
    modules = compiled(to_compile)
setup(ext_modules=modules, cmdclass={"build_ext": Build})
