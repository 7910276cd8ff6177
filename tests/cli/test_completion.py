from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamlog.cli.commands import COMMANDS, GROUPS
from streamlog.cli.completing import complete
from tests.cli.conftest import ROOT, Run


def words(*given: object) -> list[str]:
    return [word for word, _ in complete([str(each) for each in given])]


def test_commands_and_their_verbs() -> None:
    assert words() == words("")
    assert set(words("")) == {each.split()[0] for each in COMMANDS} | {"--help", "--version"}
    assert words("topics", "") == ["list", "create", "describe", "alter", "delete", "--help"]
    assert words("topics", "de") == ["describe", "delete"]
    assert words("con") == ["configs", "consume"]
    assert words("nonsense", "") == words("topics", "nonsense", "") == []
    assert all(meaning for _, meaning in complete([""]))


@pytest.mark.parametrize("command", COMMANDS)
def test_options_of_every_command(run: Run, command: str) -> None:
    found = words(*command.split(), "--")
    assert "--help" in found
    listed = run(*command.split(), "--help").out
    assert all(option in listed for option in found)
    assert all(option.startswith("--h") for option in words(*command.split(), "--h"))


def test_topics_of_the_directory_that_is_given(directory: Path) -> None:
    assert words("topics", "describe", "") == [":directories"]
    assert words("topics", "describe", directory, "") == ["odd", "orders"]
    assert words("topics", "describe", directory, "odd", "") == ["orders"]
    assert words("consume", directory, "--from", "earliest", "or") == ["orders"]
    assert words("consume", "--json", directory, "--", "or") == ["orders"]
    assert words("produce", directory, "") == ["odd", "orders"]
    assert words("produce", directory, "odd", "") == [":files"]
    assert words("dump", "") == [":files"]
    assert words("backup", directory, "") == [":directories"]
    assert words("dump", directory, "or") == ["orders"]
    assert words("topics", "list", directory, "")[0].startswith("--")
    assert ("orders", "2 partitions") in complete(["topics", "delete", str(directory), "or"])


def test_a_directory_may_be_written_as_shells_have_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(directory.parent))
    monkeypatch.setenv("WHERE", str(directory))
    assert words("consume", "~/events", "") == ["odd", "orders"]
    assert words("consume", "$WHERE", "") == ["odd", "orders"]


@pytest.mark.parametrize("name", ["nowhere", "file", "broken"])
def test_what_cannot_be_opened_has_no_topics(run: Run, directory: Path, name: str) -> None:
    (directory.parent / "file").write_text("x")
    (directory / "meta.properties").write_text("nonsense")
    path = directory if name == "broken" else directory.parent / name
    done = run("__complete", "consume", path, "")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_values_of_options(directory: Path) -> None:
    assert words("produce", directory, "odd", "--compression", "z") == ["zstd"]
    assert words("produce", "--acks", "") == ["all", "1", "0"]
    assert words("consume", directory, "--from", "") == ["earliest", "latest"]
    assert words("consume", directory, "--from=l") == ["--from=latest"]
    assert words("consume", directory, "--max-records", "") == []
    assert words("offsets", directory, "--time", "latest-") == ["latest-tiered"]
    assert words("topics", "create", directory, "t", "--config", "retention.m") == ["retention.ms="]
    assert words("topics", "alter", directory, "t", "--delete-config", "retention.m") == [
        "retention.ms"
    ]
    assert words("completion", "") == ["bash", "zsh", "fish"]


def test_bash_takes_an_equals_sign_for_a_word(directory: Path) -> None:
    assert words("consume", directory, "--from", "=", "l") == ["latest"]
    assert words("consume", directory, "--from", "=") == ["earliest", "latest"]


def test_an_option_is_offered_once_unless_it_may_be_repeated(directory: Path) -> None:
    found = words("consume", directory, "--json", "--partition", "0", "--")
    assert "--json" not in found
    assert "--partition" in found
    assert words("consume", directory, "--", "--") == []


# ---------------------------------------------------------------- the shells themselves

SHELLS = {
    "bash": """
        source <({command} completion bash)
        COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _streamlog "${{COMP_WORDS[0]}}"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """,
    "zsh": """
        compdef() {{ }}
        compadd() {{ print -rl -- ${{(P)@[-1]}} }}
        _files() {{ print -rl -- ls $@ }}
        source <({command} completion zsh)
        words=({words}); CURRENT=$#words
        _streamlog
    """,
    "fish": """
        {command} completion fish | source
        complete -C "{line}" | string replace -r '\\t.*' ''
    """,
}
PRESENT = [shell for shell in SHELLS if shutil.which(shell)]


@pytest.fixture
def ask(tmp_path: Path) -> Callable[[str, str], list[str]]:
    """Has a real shell complete a line with the script that is printed for it."""
    program = tmp_path / "bin" / "streamlog"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m streamlog "$@"\n')
    program.chmod(0o755)

    def run_shell(shell: str, line: str) -> list[str]:
        quoted = " ".join(f"'{word}'" for word in line.split(" "))
        script = SHELLS[shell].format(command="streamlog", words=quoted, line=line)
        plain = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
        done = subprocess.run(
            [shell, *plain, "-c", script],
            env=environment(program, tmp_path),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        return done.stdout.split()

    return run_shell


def environment(program: Path, home: Path) -> dict[str, str]:
    path = f"{program.parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(home)}


@pytest.mark.parametrize("shell", PRESENT)
def test_a_real_shell_completes(
    ask: Callable[[str, str], list[str]], directory: Path, shell: str
) -> None:
    assert set(ask(shell, "streamlog topics ")) >= {"list", "create", "delete"}
    assert ask(shell, f"streamlog consume {directory} or") == ["orders"]
    assert ask(shell, f"streamlog produce {directory} odd --compression z") == ["zstd"]
    assert ask(shell, f"streamlog topics create {directory} t --config flush.me") == [
        "flush.messages="
    ]
    assert ask(shell, "streamlog topics nothing ") == []


def test_the_shells_that_are_tested() -> None:
    """bash is everywhere; the others are tested where they are installed."""
    assert "bash" in PRESENT
    assert set(GROUPS) <= set(words(""))


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[[bytes, bytes], bytes]]:
    """An interactive bash: types something, gives what it shows up to what is waited for."""
    import pty

    program = tmp_path / "bin" / "streamlog"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m streamlog "$@"\n')
    program.chmod(0o755)
    leader, follower = pty.openpty()
    bash = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**environment(program, tmp_path), "TERM": "dumb", "PS1": "$ "},
        cwd=tmp_path,
        start_new_session=True,
    )
    os.close(follower)

    def typed(text: bytes, awaited: bytes) -> bytes:
        os.write(leader, text)
        shown = b""
        while awaited not in shown:
            ready, _, _ = select.select([leader], [], [], 30)
            assert ready, f"{awaited!r} does not come after {shown!r}"
            shown += os.read(leader, 4096)
        return shown

    yield typed
    bash.kill()
    bash.wait()
    os.close(leader)


def test_the_tab_key_in_bash(terminal: Callable[[bytes, bytes], bytes], directory: Path) -> None:
    terminal(b"source <(streamlog completion bash); echo rea''dy\n", b"ready")
    terminal(b"streamlog consume ev\t", b"events/")
    terminal(b" or\t", b"orders ")
    terminal(b"--from=la\t", b"latest ")
    terminal(b"\x15streamlog configs alter events odd --config retention.m\t", b"retention.ms=")
    terminal(b"\x15streamlog topics cr\t", b"create ")
