"""How a record becomes text: a line of its value, JSON, a row of CSV, or what a template says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from streamlog.cli.output import base64_text, encode_json, escape, headers_json, time_text
from streamlog.errors import ConfigError

if TYPE_CHECKING:
    from streamlog.record.kernel import Record

Format = Callable[["Record"], bytes]

CSV_COLUMNS = ("topic", "partition", "offset", "timestamp", "key", "value", "headers")
TEMPLATE_FIELDS = (
    "topic", "partition", "offset", "timestamp", "time", "key", "value", "headers",
)  # fmt: skip
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\"}


def lines(separator: str | None, null: str) -> Format:
    """The value's bytes, with a separator the key's before it; `null` for none."""
    none = null.encode("utf-8", "surrogateescape")
    if separator is None:
        return lambda record: b"%b\n" % (none if record.value is None else record.value)
    between = separator.encode("utf-8", "surrogateescape")

    def shape(record: Record) -> bytes:
        key = none if record.key is None else record.key
        return b"%b%b%b\n" % (key, between, none if record.value is None else record.value)

    return shape


def json_line(record: Record) -> bytes:
    """A JSON object; bytes that are no UTF-8 are in key_base64 and value_base64."""
    from streamlog.cli.dump_json import record_fields

    fields = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        **record_fields(record),
    }
    return encode_json(fields) + b"\n"


def csv_row(null: str) -> Format:
    """A row of CSV (RFC 4180, but for the lone line feed at its end), as `produce` reads it."""
    import csv

    class _Echo:
        """Hands a row back to who wrote it."""

        def write(self, text: str) -> str:
            return text

    writer = csv.writer(_Echo(), lineterminator="\r\n")  # which has either of the two quoted

    def cell(data: bytes | None) -> str:
        if data is None:
            return null
        try:
            text = str(data, "utf-8")
        except UnicodeDecodeError:
            return base64_text(data)
        # What would be read as something else goes as bytes.
        return base64_text(data) if text == null or text.startswith("base64:") else text

    def shape(record: Record) -> bytes:
        row: str = writer.writerow(
            (
                record.topic,
                record.partition,
                record.offset,
                record.timestamp,
                cell(record.key),
                cell(record.value),
                headers_json(record.headers) if record.headers else "",
            )
        )
        return row[:-2].encode() + b"\n"

    return shape


def template(text: str, null: str) -> Format:
    """What `text` says, with `{key}` and so on replaced, and a line's end.

    Raises `ConfigError` for a field that there is not, and for braces that do not match.
    """
    from string import Formatter

    none = null.encode("utf-8", "surrogateescape")
    parts: list[bytes | Callable[[Record], bytes]] = []
    try:
        parsed = list(Formatter().parse(_unescaped(text)))
    except ValueError as error:
        raise ConfigError(f"--template {text!r}: {error}; {{{{ and }}}} are braces") from None
    for literal, field, spec, conversion in parsed:
        if literal:
            parts.append(literal.encode("utf-8", "surrogateescape"))
        if field is None:
            continue
        header = spec if field == "header" and spec and not conversion else None
        if header is None and (field not in TEMPLATE_FIELDS or spec or conversion):
            known = ", ".join((*TEMPLATE_FIELDS, "header:NAME"))
            raise ConfigError(f"--template: there is no field {field!r}; there are {known}")
        parts.append(_field(field, header, none))

    def shape(record: Record) -> bytes:
        return b"".join(
            [part if isinstance(part, bytes) else part(record) for part in parts] + [b"\n"]
        )

    return shape


def for_terminal(shape: Format) -> Format:
    """The same, without what would move a terminal's cursor."""

    def escaped(record: Record) -> bytes:
        text = shape(record)[:-1].decode("utf-8", "backslashreplace")
        return "\t".join(map(escape, text.split("\t"))).encode() + b"\n"

    return escaped


def _field(name: str, header: str | None, none: bytes) -> Callable[[Record], bytes]:
    """What gives the bytes of a template's field."""
    if header is not None:

        def last_header(record: Record) -> bytes:
            found = [value for key, value in record.headers if key == header]
            value = found[-1] if found else None
            return none if value is None else bytes(value)

        return last_header
    if name == "time":
        return lambda record: time_text(record.timestamp).encode()
    if name == "headers":
        return lambda record: headers_json(record.headers).encode()

    def attribute(record: Record) -> bytes:
        value: Any = getattr(record, name)
        if value is None:
            return none
        return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()

    return attribute


def _unescaped(text: str) -> str:
    found, index = [], 0
    while index < len(text):
        if text[index] == "\\" and text[index + 1 : index + 2] in _ESCAPES:
            found.append(_ESCAPES[text[index + 1]])
            index += 2
            continue
        found.append(text[index])
        index += 1
    return "".join(found)
