"""kcat as a subprocess: commands that end, and members of a group that go on until told to end."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from tests.wire.client import TIMEOUT_S, Seen


class Kcat:
    """kcat's modes against one listener, at a topic's partition 0 where it needs one."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def run(self, *arguments: str, text: str = "") -> bytes:
        """What it prints; an error when it fails or complains."""
        command = ["kcat", "-b", self.bootstrap, *arguments]
        ended = subprocess.run(
            command, input=text.encode(), capture_output=True, timeout=TIMEOUT_S, check=False
        )
        if ended.returncode or b"ERROR" in ended.stderr:
            raise RuntimeError(ended.stderr.decode())
        return ended.stdout

    def produce(self, topic: str, lines: Iterable[str], *arguments: str) -> None:
        """Each line, `KEY:VALUE`, as a record."""
        text = "".join(f"{line}\n" for line in lines)
        self.run("-P", "-t", topic, "-p", "0", "-K:", *arguments, text=text)

    def consume(self, topic: str, start: str, *arguments: str) -> list[Seen]:
        """From a start, in kcat's words, to the end."""
        told = self.run("-C", "-q", "-e", "-J", "-t", topic, "-p", "0", "-o", start, *arguments)
        return [_seen(json.loads(line)) for line in told.splitlines()]

    def metadata(self, *arguments: str) -> Any:
        return json.loads(self.run("-L", "-J", *arguments))

    def offset_at(self, topic: str, timestamp_ms: int) -> int:
        """The first offset at or after a time; -1 and -2 mean the end and the beginning."""
        told = self.run("-Q", "-t", f"{topic}:0:{timestamp_ms}")
        prefix, _, offset = told.decode().strip().rpartition(" offset ")
        assert prefix == f"{topic} [0]"
        return int(offset)


def _seen(told: dict[str, Any]) -> Seen:
    """A line of `kcat -J`: texts, and headers as a flat list of names and values."""
    key, payload, flat = told["key"], told["payload"], told.get("headers", [])
    return Seen(
        told["offset"],
        None if payload is None else payload.encode(),
        None if key is None else key.encode(),
        tuple((flat[at], flat[at + 1].encode()) for at in range(0, len(flat), 2)),
        told["ts"],
    )


class KcatMember:
    """`kcat -G`: reads what it prints, and kills it when it prints nothing for too long."""

    def __init__(self, bootstrap: str, group_id: str, topic: str) -> None:
        settings = ("-X", "auto.offset.reset=earliest")
        command = ["kcat", "-b", bootstrap, "-G", group_id, *settings, "-J", "-u", topic]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._deadline = threading.Timer(TIMEOUT_S, self._process.kill)
        self._deadline.start()

    def wait_for_partitions(self, count: int) -> set[int]:
        """Until it says that it was assigned so many."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            _, found, places = line.partition("): assigned: ")
            partitions = {int(place.split("]")[0]) for place in places.split("[")[1:]}
            if found and len(partitions) == count:
                return partitions
        raise AssertionError(f"it ended without {count} partitions")

    def read(self, count: int) -> set[tuple[int, str]]:
        """So many records: partitions and values."""
        assert self._process.stdout is not None
        lines = [self._process.stdout.readline() for _ in range(count)]
        assert all(lines), f"it ended before {count} records came"
        return {(told["partition"], told["payload"]) for told in map(json.loads, lines)}

    def leave(self) -> None:
        """As by Ctrl-C: it commits and leaves the group."""
        self._process.send_signal(signal.SIGINT)
        assert self._process.wait(TIMEOUT_S) == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._deadline.cancel()
        self._process.kill()
        self._process.communicate()
