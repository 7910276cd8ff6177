"""The tree keeps its own rules: sizes, names, layers, documents. Each rule must catch a canary."""

from __future__ import annotations

import inspect
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

import streamlog
from tests import tidy

ROOT = Path(__file__).resolve().parent.parent
TOP_LEVEL = {"LICENSE", "README.md", "benchmarks", "examples", "pyproject.toml", "streamlog"}
TOP_LEVEL |= {"tests"}

SANS_IO = ("streamlog/record/", "streamlog/protocol/", "streamlog/coordinator/")
WORLD = frozenset(
    "asyncio fcntl libc.stdio mmap multiprocessing os pathlib posix random select selectors signal"
    " socket subprocess threading time".split()
)
# The first slows every import; the rest turn bytes from a stranger into code.
NEVER = frozenset({"dataclasses", "pickle", "marshal", "shelve", "yaml"})
# What most programs never use is loaded when it is used (`import streamlog` is on the clock).
LATE = frozenset(
    "asyncio concurrent.futures dataclasses difflib gzip importlib.resources json logging lz4"
    " multiprocessing snappy subprocess zstandard".split()
)

Rule = Callable[[tidy.Source], Iterable[str]]


def sources(*folders: str, suffixes: tuple[str, ...] = (".py", ".pyx")) -> Iterator[tidy.Source]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes:
                yield tidy.read_source(path, ROOT)


def violations(rule: Rule, found: Iterable[tidy.Source]) -> str:
    return "\n".join(line for source in found for line in rule(source))


EVERYWHERE = ("streamlog", "tests", "benchmarks", "examples", ".build_backend")


@pytest.mark.parametrize(
    "rule",
    [tidy.long_file, tidy.long_functions, tidy.swallowed_exceptions, tidy.unfinished_work],
)
def test_rule_holds_everywhere(rule: Rule) -> None:
    assert violations(rule, sources(*EVERYWHERE)) == ""


def test_no_test_sleeps() -> None:
    assert violations(tidy.sleeps, sources("tests")) == ""


def test_functions_for_holders_of_a_lock_are_called_by_holders() -> None:
    assert violations(tidy.unlocked_calls, sources("streamlog", suffixes=(".py",))) == ""


def test_packages_open_with_a_page() -> None:
    pages = [s for s in sources("streamlog") if s.name.endswith("/__init__.py")]
    assert violations(tidy.missing_page, pages) == ""


def test_pure_packages_do_not_touch_the_world() -> None:
    """The import contract says the same of `.py` files; it cannot see Cython."""
    rule = partial(tidy.imports_of, forbidden=WORLD)
    chooser = "streamlog/record/kernel.py"  # reads STREAMLOG_KERNEL, once
    pure = [source for source in sources(*SANS_IO) if source.name != chooser]
    assert violations(rule, pure) == ""


def test_some_modules_are_never_imported() -> None:
    rule = partial(tidy.imports_of, forbidden=NEVER)
    assert violations(rule, sources("streamlog")) == ""


def test_import_loads_nothing_that_can_wait() -> None:
    code = (
        "import sys, msgspec; before = set(sys.modules); import streamlog;"
        "print(*(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert LATE.intersection(loaded) == set()


def test_top_level_holds_what_was_agreed() -> None:
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z"]
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        entries = {name.split("/")[0] for name in listing.stdout.split("\0") if name}
    else:
        entries = {path.name for path in ROOT.iterdir() if path.suffix != ".egg-info"}
    assert {name for name in entries if not name.startswith(".")} - TOP_LEVEL == set()


def test_imports_go_downwards_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from importlinter.cli import lint_imports

    monkeypatch.chdir(ROOT)
    failed = lint_imports(config_filename="pyproject.toml", no_cache=True)
    logging.getLogger("streamlog").disabled = False  # it disables all loggers that there were
    assert not failed, capsys.readouterr().out


def readme_parts(pattern: str) -> list[str]:
    readme = ROOT / "README.md"
    return re.findall(pattern, readme.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_examples_in_the_readme_run(tmp_path: Path) -> None:
    """All `python` blocks, as one program, in the order in which they are read."""
    program = "\n".join(readme_parts(r"^```python\n(.*?)^```"))
    finished = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr


def test_links_in_the_readme_lead_somewhere() -> None:
    targets = [t.split("#")[0] for t in readme_parts(r"\]\(([^)\s]+)\)") if "://" not in t]
    assert [target for target in targets if not (ROOT / target).exists()] == []


def exported() -> list[tuple[str, object]]:
    """What users name: `streamlog.__all__`, and the public methods of its classes."""
    found: list[tuple[str, object]] = []
    for name in getattr(streamlog, "__all__", ()):
        value = getattr(streamlog, name)
        if not (inspect.isclass(value) or callable(value)):
            continue
        found.append((name, value))
        if inspect.isclass(value) and value.__module__.startswith("streamlog"):
            members = vars(value).items()
            found += [
                (f"{name}.{key}", member)
                for key, member in members
                if not key.startswith("_") and (callable(member) or isinstance(member, property))
            ]
    return found


def test_everything_exported_is_documented() -> None:
    assert [name for name, value in exported() if not inspect.getdoc(value)] == []


UNFINISHED = "TODO"
LONG_BODY = "    x = 1\n" * 61
CANARIES: list[tuple[Rule, str, str]] = [
    (tidy.long_file, "a.py", "x = 1\n" * 451),
    (tidy.long_functions, "a.py", f"def f():\n{LONG_BODY}"),
    (tidy.long_functions, "a.pyx", f"cdef int f(int a) noexcept nogil:\n{LONG_BODY}"),
    (tidy.long_functions, "a.pyx", f"class C:\n  def f(\n    a,\n  ):\n{LONG_BODY}"),
    (tidy.swallowed_exceptions, "a.py", "try:\n    f()\nexcept Exception:\n    pass\n"),
    (tidy.swallowed_exceptions, "a.py", "try:\n    f()\nexcept:\n    pass\n"),
    (tidy.swallowed_exceptions, "a.py", "with contextlib.suppress(Exception):\n    f()\n"),
    (tidy.unfinished_work, "a.pyx", f"x = 1  # {UNFINISHED}: finish\n"),
    (tidy.sleeps, "a.py", "time.sleep(1)\n"),
    (tidy.sleeps, "a.py", "async def f():\n    await asyncio.sleep(0.1)\n"),
    (tidy.missing_page, "a/__init__.py", '"""Things."""\n'),
    (tidy.unlocked_calls, "a.py", "def f():\n    roll_locked()\n"),
    (tidy.unlocked_calls, "a.py", "def f():\n    with lock:\n        pass\n    x.roll_locked()\n"),
    (partial(tidy.imports_of, forbidden=WORLD), "a.pyx", "from posix.unistd cimport read\n"),
    (partial(tidy.imports_of, forbidden=WORLD), "a.py", "def f():\n    import os.path\n"),
]
ALLOWED: list[tuple[Rule, str, str]] = [
    (tidy.swallowed_exceptions, "a.py", "try:\n    f()\nexcept OSError:\n    pass\n"),
    (tidy.sleeps, "a.py", f"time.sleep(60)  {tidy.SLEEP_REASON} it is killed before\n"),
    (tidy.sleeps, "a.py", "async def f():\n    await asyncio.sleep(0)\n"),
    (tidy.unlocked_calls, "a.py", "def f_locked():\n    roll_locked()\n"),
    (tidy.unlocked_calls, "a.py", "def f():\n    with self._mutex:\n        roll_locked()\n"),
    (tidy.unlocked_calls, "a.py", "def f():\n    self.acquire()\n    roll_locked()\n"),
    (partial(tidy.imports_of, forbidden=WORLD), "a.py", "from streamlog.os import x\n"),
]


@pytest.mark.parametrize(("rule", "name", "text"), CANARIES)
def test_rule_catches_its_canary(rule: Rule, name: str, text: str) -> None:
    assert list(rule(tidy.make_source(name, text)))


@pytest.mark.parametrize(("rule", "name", "text"), ALLOWED)
def test_rule_lets_the_allowed_pass(rule: Rule, name: str, text: str) -> None:
    assert list(rule(tidy.make_source(name, text))) == []
