"""The build backend: setuptools, plus every `.pyx` below `streamlog/` as an optional extension.

A wheel always comes out. An extension that Cython or the C compiler cannot build is left out with
one printed line, together with the others of its package, and that package runs on its
pure-Python twin: half a kernel is none. `streamlog.kernel` says which of the two is in use.

It is a backend of the tree (PEP 517, `backend-path`) and not a list in `pyproject.toml`, because
the list would have to be kept in step with the files by hand, and because setuptools' own
`optional` covers a failing compiler but not a failing Cython.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import setuptools
from setuptools import build_meta
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "streamlog"


class OptionalBuildExt(build_ext):
    """Builds what can be built, whole packages of extensions only, and says what could not."""

    def build_extensions(self) -> None:
        self.failed_packages: set[str] = set()
        super().build_extensions()
        for ext in self.extensions:
            if ext.name.rpartition(".")[0] in self.failed_packages:
                Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)

    def build_extension(self, ext: setuptools.Extension) -> None:
        try:
            super().build_extension(ext)
        # Whatever a tool chain does wrong, from no header to a crash, the answer is the twin.
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            self.failed_packages.add(ext.name.rpartition(".")[0])
            print(f"streamlog: {ext.name} was not compiled, its pure twin will run: {reason}")


class CompleteSdist(sdist):
    """A source distribution that carries the backend it is built with."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        backend = Path(__file__).resolve().relative_to(ROOT).as_posix()
        super().make_release_tree(base_dir, [*files, backend])


def extensions() -> list[setuptools.Extension]:
    """One extension for each `.pyx`, named by its place in the package."""
    found = []
    for source in sorted((ROOT / PACKAGE).rglob("*.pyx")):
        relative = source.relative_to(ROOT)
        found.append(
            setuptools.Extension(
                ".".join(relative.with_suffix("").parts),
                [relative.as_posix()],
                include_dirs=[relative.parent.as_posix()],  # the C is elsewhere, its headers here
                extra_compile_args=["-O3", "-g0"],
                optional=True,
            )
        )
    return found


class Backend(type(build_meta._BACKEND)):  # type: ignore[misc]  # the class is chosen at run time
    """setuptools' backend, calling `setup()` with the extensions instead of running a script."""

    def run_setup(self, setup_script: str = "setup.py") -> None:  # noqa: ARG002  # there is none
        # A fresh place every time: setuptools would reuse what an earlier build left in `build/`,
        # and put a compiled module from yesterday into a pure wheel.
        with tempfile.TemporaryDirectory(prefix="streamlog-build-") as build_base:
            setuptools.setup(
                ext_modules=extensions(),
                cmdclass={"build_ext": OptionalBuildExt, "sdist": CompleteSdist},
                options={
                    "build": {"build_base": build_base},
                    "build_ext": {"cython_c_in_temp": "1", "cython_include_dirs": str(ROOT)},
                },
            )


_backend = Backend()
build_wheel = _backend.build_wheel
build_sdist = _backend.build_sdist
build_editable = _backend.build_editable
get_requires_for_build_wheel = _backend.get_requires_for_build_wheel
get_requires_for_build_sdist = _backend.get_requires_for_build_sdist
get_requires_for_build_editable = _backend.get_requires_for_build_editable
prepare_metadata_for_build_wheel = _backend.prepare_metadata_for_build_wheel
prepare_metadata_for_build_editable = _backend.prepare_metadata_for_build_editable
