"""Text into records and back: what is printed is read as the same, and bad lines are named."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamlog
from streamlog.cli.incoming import Chunk, Fields, lines_of, read_lines
from streamlog.cli.incoming_csv import read_csv
from streamlog.cli.incoming_json import read_json
from streamlog.cli.outgoing import CSV_COLUMNS, csv_row, json_line, lines
from streamlog.errors import InvalidRecordError
from tests.cli.conftest import Run

FIELDS = Fields("key", "value", "timestamp", None, "headers", frozenset())


class Row(NamedTuple):
    """What the formats need of a `Record`."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def rows(chunks: Iterator[Chunk]) -> list[tuple[Any, ...]]:
    found = []
    for chunk in chunks:
        count = len(chunk.values)
        assert len(chunk.lines) == count
        columns = (
            chunk.keys or [None] * count,
            chunk.values,
            chunk.timestamps or [None] * count,
            chunk.headers or [[]] * count,
        )
        found += list(zip(*columns, strict=True))
    return found


def given_in_pieces(data: bytes, size: int) -> Iterator[list[bytes]]:
    """As a pipe gives it, so many bytes at a time."""
    source = io.BytesIO(data)
    source.read1 = lambda _=-1: source.read(size)  # type: ignore[method-assign]
    return lines_of(source)


awkward = st.sampled_from(
    [b"", b"\\N", b"null", b"base64:", b"base64:AAAA", b"\n", b"\r", b'"', b",", b"\0", b"\xff",
     "ü\u2028\ud7ff".encode(), b"a\r\nb", b"'", b"[]", b"\xef\xbb\xbf"]
)  # fmt: skip
data = st.none() | st.binary(max_size=20) | awkward | st.text(max_size=20).map(str.encode)
headers = st.lists(st.tuples(st.text(max_size=5), data), max_size=3)
records = st.lists(
    st.builds(
        Row,
        st.just("t"),
        st.just(0),
        st.just(0),
        st.just(-1) | st.integers(0, (1 << 63) - 1),
        data,
        data,
        headers,
    ),
    max_size=8,
)


def expected(found: list[Row]) -> list[tuple[Any, ...]]:
    return [
        (each.key, each.value, None if each.timestamp == -1 else each.timestamp, each.headers)
        for each in found
    ]


@given(records, st.integers(1, 50))
def test_json_comes_back_whatever_the_bytes(found: list[Row], size: int) -> None:
    text = b"".join(map(json_line, found))
    assert text.count(b"\n") == len(found)
    assert rows(read_json(given_in_pieces(text, size), FIELDS)) == expected(found)


@given(records, st.integers(1, 50), st.sampled_from(["\\N", "null", ""]))
def test_csv_comes_back_whatever_the_bytes(found: list[Row], size: int, null: str) -> None:
    text = ",".join(CSV_COLUMNS).encode() + b"\n" + b"".join(map(csv_row(null), found))
    parsed = list(csv.reader(io.StringIO(text.decode(), newline="")))
    assert [len(row) for row in parsed] == [7] * (len(found) + 1)
    assert rows(read_csv(given_in_pieces(text, size), FIELDS, null)) == expected(found)


@given(st.lists(st.tuples(data, data)), st.integers(1, 50))
def test_lines_come_back_but_for_ends_of_lines_and_separators(
    found: list[tuple[bytes | None, bytes | None]], size: int
) -> None:
    """What a line cannot hold is documented: an end of line, and a key with the separator."""
    shape = lines("::", "none")
    whole = [
        pair
        for pair in found
        if not any(b"\n" in (each or b"") or each == b"none" for each in pair)
        and (pair[0] or b"").find(b":") < 0
    ]
    made = [Row("t", 0, 0, -1, key, value, []) for key, value in whole]
    text = b"".join(map(shape, made))
    chunks = read_lines(given_in_pieces(text, size), b"::", b"none")
    assert [each[:2] for each in rows(chunks)] == whole


@settings(max_examples=15)
@given(st.lists(st.tuples(data, data, headers), min_size=1, max_size=5))
@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_topic_is_copied_by_a_pipe(
    tmp_path_factory: pytest.TempPathFactory, form: str, found: list[tuple[Any, ...]]
) -> None:
    path = tmp_path_factory.mktemp("log")
    text = path / "text"
    with streamlog.open(path / "d") as log:
        log.create_topic("t")
        with log.producer() as producer:
            for number, (key, value, given_headers) in enumerate(found):
                producer.send("t", value, key, given_headers, timestamp_ms=number)
        with text.open("wb") as file:
            shape = json_line if form == "json" else csv_row("\\N")
            if form == "csv":
                file.write(",".join(CSV_COLUMNS).encode() + b"\n")
            file.writelines(map(shape, log.read("t")))
        before = [each[3:] for each in map(comparable, log.read("t"))]
    from streamlog.cli import main

    arguments = ["produce", str(path / "d"), "copy", str(text), "--format", form, "--create"]
    assert main([*arguments, "--json"]) == 0
    with streamlog.open(path / "d", read_only=True) as log:
        copied = [each[3:] for each in map(comparable, log.read("copy"))]
    assert copied == before


def comparable(record: Any) -> tuple[Any, ...]:
    return (
        record.topic, record.partition, record.offset, record.timestamp, record.key, record.value,
        [tuple(header) for header in record.headers],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("form", "text", "said", "written"),
    [
        ("json", '{"value": 1}\n\n{"value"', "line 3: it is no JSON object", 1),
        ("json", '{"value": 1}\n[1]\n', "line 2: it is no JSON object", 1),
        ("json", '{"value": 1}\n{"valu": 1}\n', "line 2: it has no field 'value'", 1),
        ("json", '{"value": 1}\n{"value_base64": "#"}\n', "line 2: its value_base64 is no", 1),
        ("json", '{"value": 1}\n{"value_base64": 5}\n', "line 2: its value_base64 is no text", 1),
        ("json", '{"value": 1, "timestamp": "soon"}\n', "line 1: its timestamp: 'soon' is no", 0),
        ("json", '{"value": 1, "timestamp": "-1h"}\n', "line 1: its timestamp: '-1h' is no", 0),
        ("json", '{"value": 1, "headers": [1]}\n', "line 1: its headers are no", 0),
        ("json", '{"value": 1, "headers": [{}]}\n', 'line 1: a header has no "key"', 0),
        ("json", '{"value": "\\ud800"}\n', "line 1: it is no JSON object", 0),
        ("csv", "value\na\nb,c\nd\n", "line 3: it has 2 cells, the header has 1", 1),
        ("csv", 'value\na\n"b\n\nc', "line 3: it is no CSV", 1),
        ("csv", 'value\na\n"b" c\n', "line 3: it is no CSV", 1),
        ("csv", 'value\n"a\nb"\n"c\nd",e\n', "line 4: it has 2 cells", 1),
        ("csv", "value\na\n\udcff\n", "line 3: it is no UTF-8", 1),
        ("csv", "values\na\n", "line 1: the header has no column 'value': it has values", 0),
        ("csv", "value,value\na,b\n", "line 1: the header has two columns 'value'", 0),
        ("csv", "value,timestamp\na,1\nb,x\n", "line 3: 'x' is no time", 1),
        ("csv", "value,headers\na,\nb,{\n", "line 3: ", 1),
    ],
)
def test_a_bad_line_is_named_and_what_is_before_it_is_written(
    run: Run, tmp_path: Path, form: str, text: str, said: str, written: int
) -> None:
    given_text = text.encode("utf-8", "surrogateescape")
    done = run("produce", tmp_path / "d", "t", "--create", "--format", form, stdin=given_text)
    assert (done.code, done.out) == (1, "")
    report, error = done.err.splitlines()
    assert report.startswith(f"streamlog produce: {written} record")
    assert error.startswith("streamlog produce: ")
    assert said in error
    with streamlog.open(tmp_path / "d", read_only=True) as log:
        assert len(list(log.read("t"))) == written


def test_fields_of_other_names(run: Run, tmp_path: Path) -> None:
    objects = (
        b'{"id": 7, "at": "2013-01-01", "p": 1, "v": {"a": [1]}}\n'
        b'{"id": "x", "at": 5, "p": 0, "v": null}\r\n'
    )
    named = ("--key-field", "id", "--time-field", "at", "--partition-field", "p")
    produce = ("produce", tmp_path / "d")
    done = run(*produce, "t", "--create", "--partitions", "2", "--format", "json",
               "--value-field", "v", *named, stdin=objects)  # fmt: skip
    assert done.code == 0, done.err
    found = run("consume", tmp_path / "d", "t", "--json").objects
    assert [
        (each["partition"], each["timestamp"], each["key"], each["value"]) for each in found
    ] == [
        (0, 5, "x", None),
        (1, 1_356_998_400_000, "7", '{"a": [1]}'),
    ]
    run(*produce, "whole", "--create", "--format", "json", "--value-field", ".", stdin=objects)
    assert run("consume", tmp_path / "d", "whole").out.encode() == objects.replace(b"\r", b"")
    rows_of_csv = b'\xef\xbb\xbfid,at,p,v\r\n7,2013-01-01,0,"a\r\n"\r\n'
    run(
        *produce,
        "rows",
        "--create",
        "--format",
        "csv",
        "--value-field",
        ".",
        *named,
        stdin=rows_of_csv,
    )
    (row,) = run("consume", tmp_path / "d", "rows", "--json").objects
    assert json.loads(row["value"]) == {"id": "7", "at": "2013-01-01", "p": "0", "v": "a\r\n"}
    assert (row["key"], row["timestamp"]) == ("7", 1_356_998_400_000)


def test_a_field_that_is_named_must_be_there(run: Run, tmp_path: Path) -> None:
    def said(form: str, text: bytes, *arguments: str) -> str:
        command = ("produce", tmp_path / "d", "t", "--create", "--format", form, *arguments)
        done = run(*command, stdin=text)
        assert done.code == 1
        return done.err.splitlines()[-1]

    for option in ("--key-field", "--time-field", "--partition-field"):
        assert "line 1: it has no field 'id'" in said("json", b'{"value": 1}\n', option, "id")
        assert "line 1: the header has no column 'id'" in said("csv", b"value\nx\n", option, "id")
    assert "no partition" in said("json", b'{"value": 1, "p": "x"}', "--partition-field", "p")
    assert "no partition" in said("csv", b"value,p\nx,y\n", "--partition-field", "p")
    assert "line 3: topic 't' has no partition 5" in said(
        "csv", b"value,p\nx,0\ny,5\n", "--partition-field", "p"
    )


def test_what_every_record_gets(run: Run, tmp_path: Path) -> None:
    constants = ("--key", "k", "--header", "a=1", "--header", "a=2=3", "--timestamp", "2013-01-01")
    text = b'{"value": "x", "key": "other", "timestamp": 9, "headers": {"h": "i", "n": null}}\n'
    run("produce", tmp_path / "d", "t", "--create", "--format", "json", *constants, stdin=text)
    run("produce", tmp_path / "d", "t", "--key", "k", "--timestamp", "@7", stdin=b"y\n")
    first, second = run("consume", tmp_path / "d", "t", "--json").objects
    assert (first["key"], first["timestamp"], first["value"]) == ("k", 1_356_998_400_000, "x")
    assert [(each["key"], each["value"]) for each in first["headers"]] == [
        ("a", "1"), ("a", "2=3"), ("h", "i"), ("n", None),
    ]  # fmt: skip
    assert (second["key"], second["timestamp"], second["headers"]) == ("k", 7, [])


def test_null_stands_for_none_at_all(run: Run, tmp_path: Path) -> None:
    command = ("produce", tmp_path / "d", "t", "--create", "--key-separator", ":", "--null", "-")
    run(*command, stdin=b"-:a\nb:-\n--:c\n")
    found = run("consume", tmp_path / "d", "t", "--json").objects
    assert [(each["key"], each["value"]) for each in found] == [
        (None, "a"),
        ("b", None),
        ("--", "c"),
    ]
    shown = run("consume", tmp_path / "d", "t", "--key-separator", ":", "--null", "-")
    assert shown.out == "-:a\nb:-\n--:c\n"
    assert run("consume", tmp_path / "d", "t").lines == ["a", "null", "c"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--key-field", "id"),
        ("--format", "json", "--key-separator", ":"),
        ("--format", "json", "--null", "-"),
        ("--key", "k", "--key-separator", ":"),
        ("--format", "csv", "--key", "k", "--key-field", "id"),
        ("--format", "csv", "--timestamp", "@1", "--time-field", "t"),
        ("--format", "csv", "--partition", "0", "--partition-field", "p"),
        ("--key-separator", ""),
        ("--header", "x"),
        ("--timestamp", "soon"),
        ("--acks", "2"),
    ],
)
def test_options_that_do_not_go_together(
    run: Run, directory: Path, arguments: tuple[str, ...]
) -> None:
    done = run("produce", directory, "odd", *arguments, stdin=b"x\n")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert len(run("consume", directory, "odd", "--json").lines) == 3


def test_a_record_that_is_refused_is_named_in_every_format(run: Run, tmp_path: Path) -> None:
    large = "x" * 3_000_000
    texts = {
        "lines": f"a\n{large}\nb\n",
        "json": f'{{"value": "a"}}\n\n{{"value": "{large}"}}\n{{"value": "b"}}\n',
        "csv": f'value\n"a\n\n"\n{large}\nb\n',
    }
    for (form, text), line in zip(texts.items(), (2, 3, 5), strict=True):
        done = run(
            "produce", tmp_path / form, "t", "--create", "--format", form, stdin=text.encode()
        )
        assert done.code == 1
        assert f"streamlog produce: line {line}: " in done.err
        assert "1 record synced" in done.err


def test_templates(run: Run, directory: Path) -> None:
    def shown(template: str, topic: str = "odd", *more: str) -> list[str]:
        return run("consume", directory, topic, "--template", template, *more).lines

    assert shown("{topic}-{partition}@{offset} {timestamp} {time}")[0] == (
        "odd-0@0 1000 1970-01-01T00:00:01.000Z"
    )
    assert shown("{key}\\t{{{header:none}}}\\\\") == [
        "null\t{null}\\",
        "deleted\t{null}\\",
        "\t{null}\\",
    ]
    assert shown("{headers}")[1] == "[]"
    assert json.loads(shown("{headers}")[0])[0] == {"key": "trace", "value_base64": "/wA="}
    assert shown("{value}", "odd", "--null", "-")[1] == "-"
    assert shown("a\\nb", "odd", "--max-records", "1") == ["a", "b"]


def test_csv_has_a_header_also_without_records(run: Run, directory: Path) -> None:
    assert run("consume", directory, "odd", "--format", "csv", "--from", "@9999").lines == [
        "topic,partition,offset,timestamp,key,value,headers"
    ]
    found = run("consume", directory, "odd", "--format", "csv").out
    first, second, third = list(csv.DictReader(io.StringIO(found, newline="")))
    assert (first["key"], first["value"]) == ("\\N", "base64://4=")
    assert (second["key"], second["value"]) == ("deleted", "\\N")
    assert (third["key"], third["value"], third["headers"]) == ("", 'a\x1b[31m"ü', "")


def test_the_reader_of_lines_counts_over_pieces() -> None:
    pieces = given_in_pieces(b"a:1\nb:2\nc", 4)
    with pytest.raises(InvalidRecordError, match="line 3: it has no key") as caught:
        rows(read_lines(pieces, b":", None))
    assert caught.value.line == 3
