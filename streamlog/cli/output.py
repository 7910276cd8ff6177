"""What goes to stdout: bytes, lines, aligned tables, JSON objects one a line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

_BUFFER_BYTES = 1 << 16
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


class Output:
    """Standard output, as bytes: records go out as they are. Buffered; `flush()` it."""

    def __init__(self, stream: IO[str] | None) -> None:
        if stream is None:
            raise OSError(errno.EBADF, "standard output is closed")
        self._text = stream
        self._pending = bytearray()
        self.is_terminal = stream.isatty()

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._pending += data
        if len(self._pending) >= _BUFFER_BYTES:
            self._write_pending()

    def line(self, text: str = "") -> None:
        """Write a line of text."""
        self.write(f"{text}\n".encode("utf-8", "backslashreplace"))

    def json_object(self, value: Mapping[str, Any]) -> None:
        """Write a JSON object on a line of its own."""
        self.write(encode_json(value) + b"\n")

    def deleted(self, names: Iterable[str], *, json: bool) -> None:
        """What a command deleted, a line each."""
        for name in names:
            if json:
                self.json_object({"deleted": name})
            else:
                self.line(f"deleted {name}")

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write aligned columns: numbers to the right, everything else to the left."""
        body = [list(row) for row in rows]
        texts = [list(headings), *([str(cell) for cell in row] for row in body)]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        numeric = [
            bool(body) and all(isinstance(row[index], int) for row in body)
            for index in range(len(headings))
        ]
        for row in texts:
            cells = [
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, numeric, strict=True)
            ]
            self.line("  ".join(cells).rstrip())

    def flush(self) -> None:
        """Hand everything to who reads."""
        self._write_pending()
        self._text.flush()

    def _write_pending(self) -> None:
        # Let go first: what an interrupted write got out must not be written again.
        data, self._pending = self._pending, bytearray()
        self._text.buffer.write(data)  # type: ignore[attr-defined]

    def check_reader(self) -> None:
        """Raise `BrokenPipeError` when nobody reads the pipe any more; costs one system call."""
        import select

        try:
            descriptor = self._text.fileno()
        except OSError:  # a stream in memory
            return
        poll = select.poll()
        poll.register(descriptor, 0)
        if any(events & select.POLLERR for _, events in poll.poll(0)):
            raise BrokenPipeError(errno.EPIPE, "nobody reads standard output")


def encode_json(value: Mapping[str, Any]) -> bytes:
    """Compact JSON in UTF-8."""
    import msgspec

    return msgspec.json.encode(value)


def put_bytes(target: dict[str, Any], name: str, data: bytes | None) -> None:
    """Set `name` to the text of `data`, or `name_base64` where it is not UTF-8."""
    if data is None:
        target[name] = None
        return
    try:
        target[name] = str(data, "utf-8")
    except UnicodeDecodeError:
        target[f"{name}_base64"] = _base64(data)


def printable(data: bytes | None) -> str:
    """Bytes for people: quoted text, `base64:...` where it is none, `null` for none at all."""
    if data is None:
        return "null"
    try:
        text = str(data, "utf-8")
    except UnicodeDecodeError:
        return base64_text(data)
    return '"' + escape(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def base64_text(data: bytes) -> str:
    """`base64:...`."""
    return f"base64:{_base64(data)}"


def headers_list(headers: Iterable[tuple[str, bytes | None]]) -> list[dict[str, Any]]:
    """Headers as JSON has them: `[{"key": ..., "value": ...}]`, in their order."""
    found = []
    for name, data in headers:
        header: dict[str, Any] = {"key": name}
        put_bytes(header, "value", data)
        found.append(header)
    return found


def headers_json(headers: Iterable[tuple[str, bytes | None]]) -> str:
    """The same as a text."""
    import msgspec

    return msgspec.json.encode(headers_list(headers)).decode()


def escape(text: str) -> str:
    """Text that cannot move a terminal's cursor: what does not print is escaped."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def path_text(path: str) -> str:
    """A path that may hold bytes which are no text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def time_text(timestamp_ms: int) -> str:
    """Milliseconds since 1970 as ISO 8601 in UTC; "-" for none."""
    from datetime import UTC, datetime, timedelta

    if timestamp_ms == -1:
        return "-"
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        return f"{timestamp_ms} ms"
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{timestamp_ms % 1000:03d}Z"


def size_text(size: float) -> str:
    """A number of bytes for people: `12.3 MiB`."""
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def count_text(count: int, noun: str) -> str:
    """`1 record`, `12,345 records`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def settings_text(settings: Mapping[str, str]) -> str:
    """Settings in one line; "-" for none."""
    return " ".join(f"{name}={value}" for name, value in sorted(settings.items())) or "-"


def _base64(data: bytes) -> str:
    from binascii import b2a_base64

    return b2a_base64(data, newline=False).decode("ascii")
