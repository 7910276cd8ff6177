from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import streamlog
from streamlog.cli import main
from streamlog.cli.output import escape, printable, size_text, time_text
from tests.cli.conftest import KERNELS, ROOT, Run

VERBS = ["topics", "produce", "consume", "dump", "verify"]
TOPIC_VERBS = ["topics list", "topics create", "topics describe", "topics delete"]


@pytest.mark.parametrize("verb", ["", *VERBS, *TOPIC_VERBS])
def test_help_is_worth_reading(run: Run, verb: str) -> None:
    done = run(*verb.split(), "--help")
    assert (done.code, done.err) == (0, "")
    examples = done.out.partition("examples:\n")[2]
    assert f"streamlog {verb}".strip() in examples
    assert all(len(line) <= 100 for line in done.lines)


def test_no_arguments_are_help(run: Run) -> None:
    done = run()
    assert (done.code, done.out) == (2, "")
    assert "examples:" in done.err


def test_version(run: Run) -> None:
    assert run("--version").out == f"streamlog {streamlog.__version__}\n"


def test_an_unknown_verb_is_one_line(run: Run) -> None:
    done = run("frobnicate")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "--help" in done.err


def test_help_loads_nothing_but_the_grammar() -> None:
    code = (
        "import sys; from streamlog.cli import main; main(['dump', '--help']);"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    heavy = {"asyncio", "datetime", "json", "msgspec", "logging", "mmap", "zstandard", "crc32c"}
    assert loaded & heavy == set()
    ours = {name.split(".")[1] for name in loaded if name.startswith("streamlog.")}
    assert ours == {"cli", "clock", "errors"}


def test_an_error_that_is_nobodys_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("streamlog.cli.verify.run", broken)
    with pytest.raises(ZeroDivisionError):
        main(["verify", "x"])


@pytest.mark.parametrize("kernel", KERNELS)
def test_both_kernels(
    spawn: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, kernel: str
) -> None:
    def done(*arguments: object, given: bytes = b"") -> bytes:
        process = spawn(*arguments, kernel=kernel)
        out, err = process.communicate(given, timeout=60)
        assert process.returncode == 0, err
        return bytes(out)

    path = tmp_path / "d"
    done("produce", path, "t", "--create", "--compression", "gzip", given=b"a\nb\n")
    assert done("consume", path, "t") == b"a\nb\n"
    assert b'null = "b"' in done("dump", path, "t", "--records")
    assert done("verify", path).startswith(b"clean")
    assert done("topics", "list", path).splitlines()[1].split()[:2] == [b"t", b"1"]


def test_texts() -> None:
    assert time_text(-1) == "-"
    assert time_text(0) == "1970-01-01T00:00:00.000Z"
    assert time_text(1_700_000_000_123) == "2023-11-14T22:13:20.123Z"
    assert time_text(1 << 62) == f"{1 << 62} ms"
    assert [size_text(size) for size in (0, 1023, 1024, 1 << 40)] == [
        "0 B", "1023 B", "1.0 KiB", "1.0 TiB",
    ]  # fmt: skip
    assert escape("a\tb\x9b\u202ec") == "a\\tb\\x9b\\u202ec"
    assert printable(b'\\"\n') == '"\\\\\\"\\n"'
    assert printable(b"\xff") == "base64:/w=="
