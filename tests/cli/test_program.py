from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import streamlog
import streamlog.cli
from streamlog.cli import main
from streamlog.cli.commands import COMMANDS, GROUPS, choose, module_of
from streamlog.cli.output import escape, printable, size_text, time_text
from streamlog.cli.parser import build_parser
from tests.cli.conftest import KERNELS, ROOT, Run


@pytest.mark.parametrize("command", ["", *GROUPS, *COMMANDS])
def test_help_is_worth_reading(run: Run, command: str) -> None:
    done = run(*command.split(), "--help")
    assert (done.code, done.err) == (0, "")
    examples, found, exit_codes = done.out.partition("examples:\n")[2].partition("exit codes:\n")
    assert f"streamlog {command}".strip() in examples
    assert found
    assert [line.split()[0] for line in exit_codes.splitlines()] == ["0", "1", "2", "130"]
    assert all(len(line) <= 100 for line in done.lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_is_a_command_line_that_parses(command: str) -> None:
    examples = (build_parser(command).epilog or "").partition("examples:\n")[2]
    found = [
        chosen
        for line in examples.partition("\n\n")[0].splitlines()
        for chosen in map(choose, commands_in(line))
    ]
    assert command in {chosen.name for chosen in found}
    for chosen in found:
        parser = build_parser(chosen.name)
        parser.parse_args(parser.joined(chosen.rest))


def commands_in(line: str) -> Iterator[list[str]]:
    """What a line of shell has `streamlog` do."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] | None = None
    for word in [*lexer, ";"]:
        if set(word) <= set("();<>|&"):
            if words is not None:
                yield words
            words = None
        elif words is not None:
            words.append(word)
        elif word == "streamlog":
            words = []


def test_every_command_is_its_module(run: Run) -> None:
    """One that is not in the table cannot be called, and one without module cannot run."""
    folder = Path(streamlog.cli.__file__).parent
    commands = {
        path.stem
        for path in folder.glob("*.py")
        if "\ndef configure(parser" in path.read_text(encoding="utf-8")
    }
    assert commands == {module_of(command).rpartition(".")[2] for command in COMMANDS}
    listed = run("--help").out
    assert all(f"\n  {command.split()[0]} " in listed for command in COMMANDS)


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
    ours = {name for name in loaded if name.startswith("streamlog.") and name.count(".") == 1}
    assert ours == {"streamlog.cli", "streamlog.errors"}
    commands = {module_of(command) for command in COMMANDS}
    assert loaded & commands == {"streamlog.cli.dump"}


def test_the_overview_needs_no_argparse() -> None:
    code = "import sys; from streamlog.cli import main; main(['no']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "streamlog.cli.commands" in loaded
    assert not {module_of(command) for command in COMMANDS} & loaded


def test_listing_topics_loads_no_clients(directory: Path) -> None:
    code = (
        "import sys; from streamlog.cli import main; main(['topics', 'list', sys.argv[1]]);"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(directory)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(done.stderr.split())
    late = {"asyncio", "csv", "difflib", "json", "logging", "subprocess", "zstandard"}
    late |= {f"streamlog.clients.{name}" for name in ("producer", "consumer", "sender")}
    assert loaded & late == set()
    commands = {module_of(command) for command in COMMANDS}
    assert loaded & commands == {"streamlog.cli.topics_list"}


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
