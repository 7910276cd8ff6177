"""Running the command line: in this process, and as a process of its own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import streamlog
from streamlog.cli import main

KERNELS = ["pure"] + ["compiled"] * (find_spec("streamlog.record._records") is not None)
ROOT = Path(__file__).resolve().parent.parent.parent


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def objects(self) -> list[Any]:
        return [json.loads(line) for line in self.lines]


Run = Callable[..., Result]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def run_main(*arguments: object, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Result(code, *capfd.readouterr())

    return run_main


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts `python -m streamlog ...`; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: object, kernel: str = "", **options: Any) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "STREAMLOG_KERNEL": kernel}
        command = [sys.executable, "-m", "streamlog", *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            command,
            env=environment,
            # A shell starts what it runs in the background with Ctrl-C ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
            **{**pipes, **options},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two topics, closed cleanly: `orders` (2 partitions, 40 records) and `odd` (3 records)."""
    path = tmp_path / "events"
    with streamlog.open(path) as log:
        log.create_topic("orders", partitions=2, flush_messages=1000)
        log.create_topic("odd")
        with log.producer() as producer:
            for number in range(40):
                producer.send(
                    "orders",
                    b'{"n": %d}' % number,
                    key=b"k%d" % number,
                    partition=number % 2,
                    timestamp_ms=1_700_000_000_000 + number * 1000,
                )
                if number % 10 == 9:
                    producer.flush()
            headers = [("trace", b"\xff\x00"), ("none", None)]
            producer.send("odd", b"\xff\xfe", key=None, headers=headers, timestamp_ms=1000)
            producer.send("odd", None, key=b"deleted", timestamp_ms=2000)
            producer.send("odd", 'a\x1b[31m"ü'.encode(), key=b"", timestamp_ms=3000)
    return path
