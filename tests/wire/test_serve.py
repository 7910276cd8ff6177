"""`streamlog serve` as a process: the line that it prints, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import streamlog
from streamlog.errors import ConfigError
from tests.wire.clients import ConfluentClient, Seen, Sent


@contextmanager
def serving(directory: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and what clients are to be given as `bootstrap.servers`."""
    command = [sys.executable, "-m", "streamlog", "serve", directory, "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield process, line.strip().partition("bootstrap.servers=")[2]
        finally:
            process.kill()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_end(directory: str, ending: signal.Signals) -> None:
    with serving(directory, "--config", "log.retention.ms=-1") as (process, bootstrap):
        client = ConfluentClient(bootstrap)
        client.produce("flights", [Sent(b"UA1545", b"EWR")])
        with streamlog.open(directory) as log:  # beside it, in another process
            assert [each.value for each in log.read("flights")] == [b"UA1545"]
            with log.producer() as producer:
                producer.send("flights", b"UA1714", timestamp_ms=1).result()
        assert client.read("flights", 1, 1) == [Seen(1, b"UA1714", None, (), 1)]
        process.send_signal(ending)
        assert process.wait(60) == 0
    with streamlog.open(directory, create=False) as log:
        assert log.admin.describe_partitions("flights")[0].log_end == 2
        assert log.verify() == []


def test_it_creates_the_directory_and_says_so(directory: str) -> None:
    with serving(f"{directory}/new") as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    streamlog.open(f"{directory}/new", create=False).close()
    command = [sys.executable, "-m", "streamlog", "serve", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "created when there is none" in " ".join(shown.stdout.split())


def test_a_port_that_is_taken_is_an_error(directory: str, tmp_path: object) -> None:
    with serving(directory) as (_, bootstrap):
        port = bootstrap.rpartition(":")[2]
        command = [sys.executable, "-m", "streamlog", "serve", f"{tmp_path}/other", "--port", port]
        failed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert failed.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in failed.stderr


@pytest.mark.parametrize("port", [65536, 99999, -1, True, "9092", None])
def test_a_port_that_there_is_not_is_an_error(port: Any) -> None:
    with (
        streamlog.open(":memory:") as log,
        pytest.raises(ConfigError, match=r"port=.* from 0 to 65535"),
    ):
        log.listen(port=port)


@pytest.mark.parametrize("host", [None, b"127.0.0.1", 5])
def test_a_host_is_a_string(host: Any) -> None:
    with streamlog.open(":memory:") as log, pytest.raises(ConfigError, match=r"host=.* a string"):
        log.listen(host=host)


def test_a_setting_that_there_is_not_is_an_error(directory: str) -> None:
    command = [sys.executable, "-m", "streamlog", "serve", directory, "--config", "num.partition=3"]
    failed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert failed.returncode == 2
    assert "did you mean num_partitions" in failed.stderr
