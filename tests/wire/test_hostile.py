"""Clients that lie, stall, flood and never listen; an honest one beside them keeps working."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread
from typing import Any

import pytest
import zstandard

import streamlog
from streamlog.clients.stream_log import StreamLog
from streamlog.listener import Listener, watchman
from streamlog.record import layout
from streamlog.record.checksum import crc32c
from streamlog.record.kernel import RecordBatch
from tests.wire import requests
from tests.wire.connection import Connection

LIMIT = 1 << 20
ONE_REQUEST = 200_000
RECEIVED_AT_ONCE = 24_576  # what a connection may have without asking


@contextmanager
def listening(log: StreamLog, **settings: Any) -> Iterator[Listener]:
    with log.listen(queued_max_request_bytes=LIMIT, log_retention_ms=-1, **settings) as listener:
        yield listener


def check_honest(listener: Listener, records: int = 3) -> None:
    """Write, read and ask, on a new connection."""
    with Connection(listener.bootstrap_servers) as honest:
        fields = requests.produce("flights", requests.batch([b"v"] * records))
        honest.ask("Metadata", 12, **requests.metadata("flights"))
        (written,) = honest.ask("Produce", 9, **fields).responses[0].partition_responses
        assert written.error_code == 0
        asked = requests.fetch("flights", written.base_offset)
        (found,) = honest.ask("Fetch", 12, **asked).responses[0].partitions
        assert RecordBatch(found.records).count == records


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        bytes.fromhex("16030100c8010000c40303"),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        bytes.fromhex("ffffffff"),
        bytes.fromhex("7fffffff 0000"),
        bytes.fromhex("00000001 00"),
        bytes.fromhex("0000000a 03e7 0000 00000001 ffff"),  # no such API
        bytes.fromhex("0000000e 0003 0001 00000001 ffff 7fffffff"),  # 2^31 - 1 topics
        bytes.fromhex("0000000c 0003 0001 00000001 7fff 6161"),  # a client id of 32 KiB
    ],
)
def test_noise_ends_the_connection(log: StreamLog, noise: bytes) -> None:
    with listening(log) as listener, Connection(listener.bootstrap_servers) as hostile:
        hostile.socket.sendall(noise)
        assert hostile.is_closed_by_peer()
        check_honest(listener)


def test_lying_lengths_take_no_memory(log: StreamLog) -> None:
    """Two hundred connections promise 100 MB each."""
    with listening(log) as listener, ExitStack() as stack:
        for _ in range(200):
            hostile = stack.enter_context(Connection(listener.bootstrap_servers))
            hostile.socket.sendall((100_000_000).to_bytes(4) + bytes(100))
        check_honest(listener)
        assert listener.endpoint.budget.largest < LIMIT


def test_memory_is_bounded_and_comes_back(log: StreamLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-sent requests of more than there is: who does not go on is sent away.

    Small requests are answered meanwhile, and a large one in the end.
    """
    monkeypatch.setattr(watchman, "_STALLED_SECONDS", 0.05)
    with listening(log) as listener, ExitStack() as stack:
        for _ in range(24):
            hostile = stack.enter_context(Connection(listener.bootstrap_servers))
            hostile.socket.settimeout(0.2)
            with suppress(TimeoutError):  # it is not read any more
                hostile.socket.sendall(ONE_REQUEST.to_bytes(4) + bytes(100_000))
        budget = listener.endpoint.budget
        check_honest(listener)
        check_honest(listener, records=20_000)
        assert LIMIT <= budget.largest < LIMIT + ONE_REQUEST + 24 * RECEIVED_AT_ONCE


def test_requests_that_together_are_too_large_are_answered_one_after_the_other(
    log: StreamLog,
) -> None:
    """All of them stop in the middle; none is lost."""
    topic = log.create_topic("films", max_message_bytes=2_000_000)
    record = bytes(requests.batch([bytes(500_000)]))
    with listening(log) as listener, ExitStack() as stack:
        honest = [stack.enter_context(Connection(listener.bootstrap_servers)) for _ in range(12)]
        senders = []
        for connection in honest:
            fields = requests.produce(topic.name, record)
            sender = Thread(target=connection.send, args=("Produce", 9), kwargs=fields)
            sender.start()
            senders.append(sender)
        for sender, connection in zip(senders, honest, strict=True):
            answer = connection.receive().body
            assert answer.responses[0].partition_responses[0].error_code == 0
            sender.join()
        assert listener.endpoint.budget.largest < LIMIT + 600_000 + 12 * RECEIVED_AT_ONCE
    assert listener.endpoint.budget.used == 0


def test_who_never_reads_is_no_burden(log: StreamLog) -> None:
    """Fetches of 8 MB each are asked for, and no answer is taken."""
    log.create_topic("films", max_message_bytes=2_000_000)
    with log.producer(linger_ms=0) as producer:
        for _ in range(16):
            producer.send("films", bytes(1_000_000))
    with listening(log) as listener, ExitStack() as stack:
        for _ in range(20):
            hostile = stack.enter_context(Connection(listener.bootstrap_servers))
            for _ in range(20):
                hostile.send("Fetch", 12, **requests.fetch("films", 0, partition_max_bytes=1 << 25))
        check_honest(listener)
        # What each holds: requests, and the answer's few bytes that are not in the log's map. The
        # pure kernel has no maps: there it is one answer.
        copied = 0 if streamlog.kernel == "compiled" else 20 * 16 * 1_000_100
        assert listener.endpoint.budget.largest < LIMIT + copied
        for connection in listener.endpoint.connections:
            assert connection.unsent_copied_bytes < 1 << 18


def test_connections_are_counted(log: StreamLog) -> None:
    with listening(log, max_connections=20) as listener, ExitStack() as stack:
        many = [stack.enter_context(Connection(listener.bootstrap_servers)) for _ in range(20)]
        many[0].ask("ApiVersions", 0)
        many[19].ask("ApiVersions", 0)
        with Connection(listener.bootstrap_servers) as surplus:
            assert surplus.is_closed_by_peer()
        many[5].socket.shutdown(socket.SHUT_WR)
        assert many[5].is_closed_by_peer()
        check_honest(listener)


def test_idle_connections_are_closed(log: StreamLog) -> None:
    with listening(log, connections_max_idle_ms=50) as listener:
        with Connection(listener.bootstrap_servers) as idle:
            idle.ask("ApiVersions", 0)
            assert idle.is_closed_by_peer()
        check_honest(listener)


def bomb(size: int) -> bytes:
    """A batch of one record, whose payload decompresses to `size` bytes."""
    batch = requests.batch([b"x"], codec=4)
    payload = zstandard.ZstdCompressor().compress(bytes(size))
    bombed = batch[: layout.HEADER_SIZE] + payload
    length = len(bombed) - layout.LOG_OVERHEAD
    layout.INT32.pack_into(bombed, layout.LENGTH_AT, length)
    layout.UINT32.pack_into(bombed, layout.CRC_AT, crc32c(bombed[layout.ATTRIBUTES_AT :]))
    return bytes(bombed)


def test_a_decompression_bomb_is_an_invalid_record(log: StreamLog) -> None:
    data = bomb(1 << 29)
    assert len(data) < 100_000
    log.create_topic("flights")
    with listening(log) as listener, Connection(listener.bootstrap_servers) as hostile:
        hostile.send("Produce", 9, **requests.produce("flights", data))
        check_honest(listener)  # while it is decompressed
        (refused,) = hostile.receive().body.responses[0].partition_responses
        assert refused.error_code == 87
        assert [each.value for each in log.read("flights")] == [b"v"] * 3


def test_closing_ends_what_waits(log: StreamLog) -> None:
    log.create_topic("flights")
    listener = log.listen()
    with Connection(listener.bootstrap_servers) as waiting:
        waiting.send("Fetch", 12, **requests.fetch("flights", 0, max_wait_ms=3_600_000))
        waiting.socket.sendall((1000).to_bytes(4))
        listener.close()
        assert waiting.is_closed_by_peer()
    assert listener.closed


def test_the_log_closes_its_listeners() -> None:
    with streamlog.open(":memory:") as log:
        listener = log.listen()
        connection = Connection(listener.bootstrap_servers)
        connection.ask("ApiVersions", 0)
    assert connection.is_closed_by_peer()
    connection.close()
    assert listener.closed
