from __future__ import annotations

from pathlib import Path

import pytest

import streamlog
from tests.cli.conftest import Run


def test_describe_shows_what_was_set(run: Run, directory: Path) -> None:
    done = run("configs", "describe", directory)
    assert done.code == 0
    assert done.lines[0] == "odd"
    assert done.lines[1] == "  nothing was set (--all shows the defaults)"
    assert done.lines[3] == "orders"
    assert done.lines[4].split() == ["NAME", "VALUE", "SOURCE", "DEFAULT", "MEANING"]
    assert done.lines[5].split()[:4] == ["flush.messages", "1000", "topic", str((1 << 63) - 1)]
    assert len(done.lines) == 6
    (entry,) = run("configs", "describe", directory, "--json").objects
    assert entry == {
        "topic": "orders",
        "name": "flush.messages",
        "value": "1000",
        "source": "topic",
        "default": str((1 << 63) - 1),
        "type": "long",
        "allowed": entry["allowed"],
        "documentation": "records after which the log is synced",
        "idle": None,
    }


def test_describe_all_is_what_the_library_says(run: Run, directory: Path) -> None:
    with streamlog.open(directory, read_only=True) as log:
        expected = log.admin.describe_configs(["orders"])["orders"]
    found = run("configs", "describe", directory, "orders", "--all", "--json").objects
    assert {each["name"]: (each["value"], each["default"]) for each in found} == {
        name: (entry.value, entry.default) for name, entry in expected.items()
    }
    assert all(each["documentation"] for each in found)
    lines = run("configs", "describe", directory, "orders", "--all").lines
    assert len(lines) == 2 + len(expected)
    idle = next(line for line in lines if line.startswith("  preallocate "))
    assert "(no effect here: " in idle
    assert any(each["idle"] for each in found if each["name"] == "preallocate")


def test_alter(run: Run, directory: Path) -> None:
    def settings(name: str) -> dict[str, str]:
        with streamlog.open(directory, read_only=True) as log:
            return log.topics()[name].settings

    alter = ("configs", "alter", directory)
    done = run(*alter, "orders", "odd", "--config", "retention_ms=5", "--append-config",
               "cleanup.policy=compact")  # fmt: skip
    assert (done.code, done.lines) == (
        0,
        [
            "altered orders: cleanup.policy=delete,compact flush.messages=1000 retention.ms=5",
            "altered odd: cleanup.policy=delete,compact retention.ms=5",
        ],
    )
    assert settings("odd") == {"cleanup.policy": "delete,compact", "retention.ms": "5"}
    done = run(*alter, "odd", "--subtract-config", "cleanup.policy=compact", "--delete-config",
               "retention.ms", "--json")  # fmt: skip
    assert done.objects[0]["settings"] == settings("odd") == {"cleanup.policy": "delete"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("orders",), 2, "nothing to alter"),
        (("order", "--config", "flush.ms=1"), 1, "did you mean 'orders'?"),
        (("odd", "orders", "nope", "--config", "flush.ms=1"), 1, "nope"),
        (("odd", "--config", "flush.mss=1"), 2, "did you mean flush_ms?"),
        (("odd", "--config", "flush.ms=soon"), 2, "soon"),
        (("odd", "--append-config", "flush.ms=1"), 2, "no list"),
        (("odd", "--delete-config", "flush.mss"), 2, "flush_ms"),
        (("odd", "--config", "flush.ms=1", "--delete-config", "flush.ms"), 2, "given twice"),
        (("odd", "--config", "flush.ms"), 2, "name=value"),
    ],
)
def test_mistakes_are_one_line_and_change_nothing(
    run: Run, directory: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    before = run("configs", "describe", directory, "--json").out
    done = run("configs", "alter", directory, *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert said in done.err
    assert run("configs", "describe", directory, "--json").out == before


def test_describe_of_a_directory_without_topics(run: Run, tmp_path: Path) -> None:
    streamlog.open(tmp_path / "d").close()
    assert run("configs", "describe", tmp_path / "d").lines == ["no topics"]
    assert run("configs", "describe", tmp_path / "d", "--json").out == ""
