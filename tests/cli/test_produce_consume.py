from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import streamlog
from tests.cli.conftest import KERNELS, Run

Spawn = Callable[..., "subprocess.Popen[bytes]"]


def values(directory: Path, topic: str) -> list[bytes | None]:
    with streamlog.open(directory, read_only=True) as log:
        return [record.value for record in log.read(topic)]


def test_lines_come_back(run: Run, tmp_path: Path) -> None:
    produced = run("produce", tmp_path / "d", "t", "--create", stdin=b"one\n\n two\r\nthree")
    assert (produced.code, produced.out) == (0, "")
    assert "4 records synced to t" in produced.err
    assert run("consume", tmp_path / "d", "t").out == "one\n\n two\r\nthree\n"


def test_keys_and_files_and_partitions(run: Run, tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"a:1\nb:2:3\n:4\n")
    command = ("produce", tmp_path / "d", "t", tmp_path / "lines", "--create", "--json")
    done = run(*command, "--key-separator", ":", "--partitions", "3", "--partition", "2")
    assert done.objects[0]["records"] == 3
    found = run("consume", tmp_path / "d", "t", "--partition", "2", "--json").objects
    assert [(each["key"], each["value"]) for each in found] == [("a", "1"), ("b", "2:3"), ("", "4")]
    shown = run("consume", tmp_path / "d", "t", "--key-separator", " -> ")
    assert shown.lines == ["a -> 1", "b -> 2:3", " -> 4"]


@pytest.mark.parametrize("acks", ["all", "1", "0"])
@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_many_lines(run: Run, tmp_path: Path, acks: str, codec: str) -> None:
    lines = [b"%d" % number * 5 for number in range(200_000)]
    arguments = ("--acks", acks, "--compression", codec, "--create")
    assert run("produce", tmp_path / "d", "t", *arguments, stdin=b"\n".join(lines)).code == 0
    assert values(tmp_path / "d", "t") == lines


def test_a_line_without_a_key_is_named(run: Run, tmp_path: Path) -> None:
    done = run(
        "produce", tmp_path / "d", "t", "--create", "--key-separator", ":", stdin=b"a:1\nb\nc:2\n"
    )
    assert done.code == 1
    assert "line 2: it has no key: ':' is not in it" in done.err
    assert "1 record synced" in done.err
    assert values(tmp_path / "d", "t") == [b"1"]


def test_a_line_that_is_too_large_is_named(run: Run, tmp_path: Path) -> None:
    lines = b"\n".join([b"first", b"second", b"x" * 3_000_000, b"last"])
    done = run("produce", tmp_path / "d", "t", "--create", stdin=lines)
    assert done.code == 1
    assert "streamlog produce: line 3: " in done.err
    assert "2 records synced" in done.err
    assert values(tmp_path / "d", "t") == [b"first", b"second"]


def test_nothing_is_made_without_create(run: Run, tmp_path: Path, directory: Path) -> None:
    missing = run("produce", tmp_path / "no", "t", stdin=b"x\n")
    assert (missing.code, missing.err.count("\n")) == (1, 1)
    assert not (tmp_path / "no").exists()
    unknown = run("produce", directory, "order", stdin=b"x\n")
    assert unknown.code == 1
    assert "'orders'" in unknown.err
    assert "--create" in unknown.err


def test_where_reading_starts(run: Run, directory: Path) -> None:
    def read(*arguments: object) -> list[str]:
        return run("consume", directory, "orders", *arguments).lines

    assert len(read()) == 40
    assert read("--max-records", "2") == ['{"n": 0}', '{"n": 2}']
    assert read("--partition", "1", "--from", "18") == ['{"n": 37}', '{"n": 39}']
    at = ("--from", "2023-11-14T22:13:57.500")  # 37.5 s after the first record
    assert read(*at) == ['{"n": 38}', '{"n": 39}']
    assert read("--from", "@1700000038000", "--partition", "1") == ['{"n": 39}']
    assert read("--from", "2023-11-14T23:13:58+01:00", "--partition", "0") == ['{"n": 38}']
    assert read("--from", "2030-01-01") == []


def test_json_keeps_every_byte(run: Run, directory: Path) -> None:
    first, second, third = run("consume", directory, "odd", "--json").objects
    assert first["key"] is None
    assert first["value_base64"] == "//4="
    assert "value" not in first
    assert first["headers"] == [
        {"key": "trace", "value_base64": "/wA="},
        {"key": "none", "value": None},
    ]
    assert (second["key"], second["value"]) == ("deleted", None)
    assert (third["offset"], third["timestamp"], third["value"]) == (2, 3000, 'a\x1b[31m"ü')


def test_values_go_out_as_they_are(spawn: Spawn, directory: Path) -> None:
    out, _ = spawn("consume", directory, "odd").communicate(timeout=30)
    assert out == b"\xff\xfe\nnull\n" + 'a\x1b[31m"ü\n'.encode()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "latest"),
        ("--from", "5"),
        ("--from", "middle"),
        ("--from", "yesterday"),
        ("--until", "5"),
        ("--until", "earliest"),
        ("--until", "latest", "--follow"),
        ("--from", "-1x"),
        ("--from", "1969-12-31"),
        ("--template", "{nothing}"),
        ("--template", "{key"),
        ("--template", "{key!r}"),
        ("--template", "{value}", "--json"),
        ("--json", "--key-separator", ":"),
        ("--json", "--null", "none"),
        ("--max-records", "0"),
        ("--json", "--format", "csv"),
        ("--format", "xml"),
    ],
)
def test_wrong_arguments_are_one_line(run: Run, directory: Path, arguments: tuple[str]) -> None:
    done = run("consume", directory, "orders", *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("streamlog consume: ")


@pytest.mark.parametrize("arguments", [("--partition", "7"), ("--partition", "0", "--from", "999")])
def test_places_that_are_not_there_are_one_line(
    run: Run, directory: Path, arguments: tuple[str]
) -> None:
    done = run("consume", directory, "orders", *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)


def test_follow_ends_at_the_limit(run: Run, directory: Path) -> None:
    done = run("consume", directory, "orders", "--follow", "--max-records", "40", "--json")
    assert {(each["partition"], each["offset"]) for each in done.objects} == {
        (partition, offset) for partition in (0, 1) for offset in range(20)
    }
    done = run("consume", directory, "orders", "--follow", "--max-records", "1", "--partition", "1",
               "--from", "3")  # fmt: skip
    assert done.lines == ['{"n": 7}']


@pytest.mark.parametrize("kernel", KERNELS)
def test_follow_sees_what_comes_and_ends_with_ctrl_c(
    spawn: Spawn, directory: Path, kernel: str
) -> None:
    reader = spawn("consume", directory, "odd", "--follow", "--from", "@3000", kernel=kernel)
    assert reader.stdout is not None
    assert reader.stdout.readline() == 'a\x1b[31m"ü\n'.encode()
    with streamlog.open(directory) as log, log.producer() as producer:
        producer.send("odd", b"new").result()
        assert reader.stdout.readline() == b"new\n"
    reader.send_signal(signal.SIGINT)
    out, err = reader.communicate(timeout=30)
    assert (reader.returncode, out, err) == (130, b"", b"")


def test_produce_writes_what_came_before_ctrl_c(spawn: Spawn, directory: Path) -> None:
    reader = spawn("consume", directory, "odd", "--follow", "--from", "@4000")
    writer = spawn("produce", directory, "odd")
    assert writer.stdin is not None
    assert reader.stdout is not None
    writer.stdin.write(b"one\ntwo\nhalf a l")
    writer.stdin.flush()
    assert reader.stdout.readline() == b"one\n"
    assert reader.stdout.readline() == b"two\n"
    writer.send_signal(signal.SIGINT)
    assert writer.wait(timeout=30) == 130
    assert writer.stderr is not None
    assert b"interrupted; at least " in writer.stderr.read()
    with streamlog.open(directory, read_only=True) as log:
        assert [record.value for record in log.read("odd", start=3)] == [b"one", b"two"]


@pytest.mark.parametrize("follow", [(), ("--follow",)])
def test_a_reader_that_has_had_enough_is_no_error(
    spawn: Spawn, tmp_path: Path, run: Run, follow: tuple[str, ...]
) -> None:
    assert run("produce", tmp_path / "d", "t", "--create", stdin=b"line\n" * 100_000).code == 0
    process = spawn("consume", tmp_path / "d", "t", *follow)
    assert process.stdout is not None
    assert process.stdout.readline() == b"line\n"
    process.stdout.close()
    assert process.wait(timeout=30) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stdout = None


def test_a_full_disk_behind_stdout_is_an_error(spawn: Spawn, directory: Path) -> None:
    with open("/dev/full", "wb") as full:
        process = spawn("consume", directory, "orders", stdout=full)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (1, b"streamlog consume: No space left on device\n")


def test_consuming_changes_no_byte(run: Run, directory: Path) -> None:
    def state() -> dict[str, tuple[int, bytes]]:
        files = [path for path in directory.rglob("*") if path.is_file()]
        return {str(path): (os.stat(path).st_mtime_ns, path.read_bytes()) for path in files}

    before = state()
    assert run("consume", directory, "orders").code == 0
    assert run("topics", "describe", directory).code == 0
    assert run("verify", directory).code == 0
    assert run("dump", directory, "--records").code == 0
    assert state() == before


def test_json_lines_are_json(run: Run, directory: Path) -> None:
    for line in run("consume", directory, "orders", "--json").lines:
        assert json.loads(line)["topic"] == "orders"


def test_all_topics_or_several_and_chosen_partitions(run: Run, directory: Path) -> None:
    def places(*arguments: str) -> list[tuple[str, int]]:
        found = run("consume", directory, *arguments, "--json").objects
        return list(dict.fromkeys((each["topic"], each["partition"]) for each in found))

    assert places() == [("odd", 0), ("orders", 0), ("orders", 1)]
    assert places("orders", "odd", "orders") == [("orders", 0), ("orders", 1), ("odd", 0)]
    assert places("--partition", "0") == [("odd", 0), ("orders", 0)]
    assert places("orders", "--partition", "1", "--partition", "0") == [
        ("orders", 0),
        ("orders", 1),
    ]
    followed = run("consume", directory, "--follow", "--max-records", "43", "--json").objects
    assert len({(each["topic"], each["partition"], each["offset"]) for each in followed}) == 43


def test_where_reading_ends(run: Run, directory: Path) -> None:
    def read(*arguments: object) -> list[str]:
        return run("consume", directory, "orders", *arguments).lines

    assert read("--partition", "1", "--until", "2") == ['{"n": 1}', '{"n": 3}']
    assert read("--partition", "1", "--from", "2", "--until", "3") == ['{"n": 5}']
    assert read("--until", "2023-11-14T22:13:22") == ['{"n": 0}', '{"n": 1}']
    assert len(read("--until", "latest")) == len(read("--until", "-0s")) == 40
    assert read("--from", "-1h") == []


def test_a_directory_without_topics(run: Run, tmp_path: Path) -> None:
    streamlog.open(tmp_path / "d").close()
    assert run("consume", tmp_path / "d")[:2] == (0, "")
    done = run("consume", tmp_path / "d", "--follow")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert run("offsets", tmp_path / "d").lines == ["TOPIC  PARTITION  EARLIEST  LATEST"]


def test_records_without_a_partition_of_their_own_follow_their_key(
    run: Run, tmp_path: Path
) -> None:
    """As the library's producer has it, whether they are sent together or one by one."""
    text = b"".join(b"k%d:v\n" % number for number in range(50))
    command = ("produce", tmp_path / "d", "t", "--create", "--partitions", "5")
    run(*command, "--key-separator", ":", stdin=text)
    run(*command, "--key-separator", ":", "--header", "a=b", stdin=text)
    found = run("consume", tmp_path / "d", "t", "--json").objects
    places = {(each["key"], each["partition"]) for each in found}
    assert (len(found), len(places)) == (100, 50)
    assert {each["partition"] for each in found} == set(range(5))


@pytest.mark.parametrize("form", ["lines", "json", "csv"])
def test_records_come_through_a_pipe_as_they_are_written(
    spawn: Spawn, directory: Path, form: str
) -> None:
    """Each record is there before the next one is written: nothing waits for a full buffer."""
    shapes = {"lines": b"%b\n", "json": b'{"value": "%b"}\n', "csv": b"%b\n"}
    reader = spawn("consume", directory, "odd", "--follow", "--from", "@4000")
    writer = spawn("produce", directory, "odd", "--format", form)
    assert writer.stdin is not None
    assert reader.stdout is not None
    if form == "csv":
        writer.stdin.write(b"value\n")
    for value in (b"one", b"two", b"three"):
        writer.stdin.write(shapes[form] % value)
        writer.stdin.flush()
        assert reader.stdout.readline() == value + b"\n"
    writer.communicate(timeout=30)
    assert writer.returncode == 0
