"""kcat, which is C and a command: what it writes a process reads, and the other way round."""

from __future__ import annotations

import shutil

import pytest

from streamlog.clients.stream_log import StreamLog
from streamlog.listener import Listener
from streamlog.types import TopicPartition
from tests.wire.kcat import Kcat, KcatMember
from tests.wire.test_clients import START_MS, read_in_process
from tests.wire.test_groups import committed

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed"),
]

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PARTITIONS = 6
LINES = [f"EWR{number % 3}:UA{number}" for number in range(300)]


@pytest.fixture
def kcat(listener: Listener) -> Kcat:
    return Kcat(listener.bootstrap_servers)


def append(log: StreamLog, count: int) -> None:
    """A second apart."""
    log.create_topic("flights")
    with log.producer(compression_type="zstd") as producer:
        for number in range(count):
            producer.send(
                "flights",
                b"UA%d" % number if number % 5 else None,
                key=b"EWR" if number % 3 else None,
                headers=[("gate", b"%d" % number)],
                timestamp_ms=START_MS + 1000 * number,
            )


@pytest.mark.parametrize("codec", CODECS)
def test_what_it_writes_is_read(kcat: Kcat, log: StreamLog, codec: str) -> None:
    """With keys and headers, in a topic that it makes, in each codec; by itself, too."""
    headers = ("-H", "carrier=UA", "-H", "from=New York")
    # Together: a batch that would become larger by it is not compressed.
    kcat.produce("flights", LINES, "-z", codec, "-X", "linger.ms=1000", *headers)
    found = read_in_process(log, "flights")
    assert [f"{(each.key or b'').decode()}:{(each.value or b'').decode()}" for each in found] == (
        LINES
    )
    assert {each.headers for each in found} == {(("carrier", b"UA"), ("from", b"New York"))}
    with log.consumer("flights", auto_offset_reset="earliest") as consumer:
        assert {CODECS[batch.codec] for batch in consumer.poll_batches()} == {codec}
    assert kcat.consume("flights", "beginning") == found


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_acknowledgements(kcat: Kcat, log: StreamLog, acks: str) -> None:
    log.create_topic("flights")
    kcat.produce("flights", LINES[:20], "-X", f"topic.acks={acks}")
    assert len(kcat.consume("flights", "beginning")) == 20


def test_an_idempotent_producer(kcat: Kcat, log: StreamLog) -> None:
    kcat.produce("flights", LINES, "-X", "enable.idempotence=true")
    place = TopicPartition("flights", 0)
    (state,) = log.admin.describe_producers([place])[place]
    assert state.last_sequence == len(LINES) - 1


def test_tombstones(kcat: Kcat, log: StreamLog) -> None:
    log.create_topic("state", cleanup_policy="compact")
    kcat.produce("state", ["a:1", "a:"], "-Z")
    assert [(each.key, each.value) for each in log.read("state")] == [(b"a", b"1"), (b"a", None)]


def test_a_compacted_topic_wants_keys(kcat: Kcat, log: StreamLog) -> None:
    log.create_topic("state", cleanup_policy="compact")
    with pytest.raises(RuntimeError, match=r"(?i)failed to validate record"):
        kcat.run("-P", "-t", "state", "-p", "0", text="no key\n")


def test_it_reads_from_anywhere(kcat: Kcat, log: StreamLog) -> None:
    """What was appended in process: from the beginning, offsets, times, and between times."""
    append(log, 60)
    found = read_in_process(log, "flights")
    assert kcat.consume("flights", "beginning") == found
    assert kcat.consume("flights", "45") == found[45:]
    assert kcat.consume("flights", "-7") == found[53:]
    assert kcat.consume("flights", "0", "-c", "5") == found[:5]
    assert kcat.consume("flights", f"s@{START_MS + 30_000}") == found[30:]
    assert kcat.consume("flights", f"s@{START_MS + 30_001}") == found[31:]
    until = ("-o", f"e@{START_MS + 40_000}")
    assert kcat.consume("flights", f"s@{START_MS + 30_000}", *until) == found[30:40]
    assert kcat.consume("flights", "end") == []


def test_it_asks_for_offsets(kcat: Kcat, log: StreamLog) -> None:
    append(log, 60)
    log.admin.delete_records({TopicPartition("flights", 0): 10})
    assert kcat.offset_at("flights", START_MS + 30_001) == 31
    assert kcat.offset_at("flights", START_MS) == 10
    assert kcat.offset_at("flights", START_MS + 60_000) == -1
    assert (kcat.offset_at("flights", -2), kcat.offset_at("flights", -1)) == (10, 60)


def test_it_lists_metadata(kcat: Kcat, log: StreamLog) -> None:
    for name, partitions in (("flights", 3), ("weather", 1)):
        log.create_topic(name, partitions)
    told = kcat.metadata()
    (broker,) = told["brokers"]
    assert broker["name"] == kcat.bootstrap
    assert broker["name"].startswith("127.0.0.1:")  # what is advertised is no IPv6 address
    assert {each["topic"]: len(each["partitions"]) for each in told["topics"]} == {
        "flights": 3,
        "weather": 1,
    }
    (topic,) = kcat.metadata("-t", "flights")["topics"]
    assert {each["leader"] for each in topic["partitions"]} == {broker["id"]}


@pytest.fixture
def listener(log: StreamLog) -> Listener:
    return log.listen(log_retention_ms=-1)  # closed by the log


def test_a_group_of_two(log: StreamLog, listener: Listener) -> None:
    """They share the partitions; when one leaves, the other has all, and goes on where it was."""
    log.create_topic("flights", PARTITIONS)

    def send(text: str) -> set[tuple[int, str]]:
        with log.producer() as producer:
            for partition in range(PARTITIONS):
                producer.send("flights", text.encode(), partition=partition)
        return {(partition, text) for partition in range(PARTITIONS)}

    at = (listener.bootstrap_servers, "crew", "flights")
    with KcatMember(*at) as first:
        first.wait_for_partitions(PARTITIONS)
        with KcatMember(*at) as second:
            shares = [each.wait_for_partitions(PARTITIONS // 2) for each in (first, second)]
            assert shares[0] | shares[1] == set(range(PARTITIONS))
            sent = send("while two are there")
            for member, share in zip((first, second), shares, strict=True):
                assert member.read(len(share)) == {each for each in sent if each[0] in share}
            second.leave()
        first.wait_for_partitions(PARTITIONS)
        sent = send("while one is there")
        assert first.read(PARTITIONS) == sent
        first.leave()
    assert committed(log, "crew") == dict.fromkeys(range(PARTITIONS), (2, ""))
