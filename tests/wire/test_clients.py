"""What programs do with a broker, each scenario with three clients that know nothing of us."""

from __future__ import annotations

import pytest

from streamlog.clients.stream_log import StreamLog
from streamlog.types import TopicPartition
from tests.wire.clients import Client, Seen, Sent

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
START_MS = 1_700_000_000_000


def records(count: int) -> list[Sent]:
    """Keys and values of several sizes, one of the two may be none, and headers, a second apart."""
    return [
        Sent(
            None if number % 7 == 3 else b"value %d " % number * (number % 40 + 1),
            None if number % 5 == 4 and number % 7 != 3 else b"key %d" % (number % 3),
            tuple((f"header{place}", b"%d" % place) for place in range(number % 3)),
            START_MS + 1000 * number,
        )
        for number in range(count)
    ]


def seen(sent: list[Sent], base: int = 0) -> list[Seen]:
    return [
        Seen(base + place, each.value, each.key, each.headers, each.timestamp_ms)
        for place, each in enumerate(sent)
    ]


def read_in_process(log: StreamLog, topic: str) -> list[Seen]:
    return [
        Seen(each.offset, each.value, each.key, each.headers, each.timestamp)
        for each in log.read(topic, partition=0)
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_what_was_sent_is_read(client: Client, log: StreamLog, codec: str) -> None:
    """By the client itself and in process, whatever the codec."""
    sent = records(200)
    assert client.produce("flights", sent, codec=codec) == list(range(200))
    assert client.read("flights", 0, 200) == seen(sent)
    assert read_in_process(log, "flights") == seen(sent)


def test_what_was_appended_in_process_is_read_over_the_wire(client: Client, log: StreamLog) -> None:
    log.create_topic("flights")
    sent = records(100)
    with log.producer(compression_type="zstd", linger_ms=0) as producer:
        for each in sent:
            producer.send(
                "flights",
                each.value,
                key=each.key,
                headers=list(each.headers),
                timestamp_ms=each.timestamp_ms,
            )
    assert client.read("flights", 0, 100) == seen(sent)
    assert client.read("flights", 57, 43) == seen(sent)[57:]


@pytest.mark.parametrize("acks", [0, 1, -1])
def test_acknowledgements(client: Client, log: StreamLog, acks: int) -> None:
    log.create_topic("flights")
    sent = records(20)
    offsets = client.produce("flights", sent, acks=acks)
    if acks != 0:
        assert offsets == list(range(20))
    assert client.read("flights", 0, 20) == seen(sent)


def test_an_idempotent_producer_leaves_its_state(client: Client, log: StreamLog) -> None:
    log.create_topic("flights")
    client.produce("flights", records(50), idempotent=True)
    place = TopicPartition("flights", 0)
    (state,) = log.admin.describe_producers([place])[place]
    assert (state.producer_epoch, state.last_sequence) == (0, 49)


def test_reading_begins_where_it_is_told_to(client: Client, log: StreamLog) -> None:
    """In the middle of a batch: the broker returns the whole batch, the client skips."""
    sent = records(90)
    client.produce("flights", sent)
    for offset in (1, 45, 89):
        assert client.read("flights", offset, 1) == seen(sent)[offset : offset + 1]


def test_offsets_by_time(client: Client, log: StreamLog) -> None:
    client.produce("flights", records(60))
    assert client.offset_at("flights", START_MS - 1) == 0
    assert client.offset_at("flights", START_MS + 30_000) == 30
    assert client.offset_at("flights", START_MS + 30_001) == 31
    after_all = client.offset_at("flights", START_MS + 60_000)
    # librdkafka answers with the end where there is no such record.
    assert after_all in (None, -1)


def test_ends(client: Client, log: StreamLog) -> None:
    log.create_topic("flights")
    assert client.ends("flights") == (0, 0)
    client.produce("flights", records(25))
    log.admin.delete_records({TopicPartition("flights", 0): 10})
    assert client.ends("flights") == (10, 25)


def test_large_records(client: Client, log: StreamLog) -> None:
    """Larger than what the consumer asks for at once: it gets on anyway."""
    log.create_topic("films", max_message_bytes=5_000_000)
    sent = [Sent(bytes([number]) * 3_000_000) for number in range(4)]
    client.produce("films", sent)
    assert client.read("films", 0, 4) == seen(sent)


def test_a_record_that_is_too_large_is_refused(client: Client, log: StreamLog) -> None:
    log.create_topic("flights", max_message_bytes=10_000)
    with pytest.raises(Exception, match=r"(?i)message.?size|too.?large|larger"):
        client.produce("flights", [Sent(bytes(20_000))])
    assert client.ends("flights") == (0, 0)


def test_topics_are_made_when_they_are_written_to(client: Client, log: StreamLog) -> None:
    client.produce("new", records(3))
    assert log.topics()["new"].settings == {}
    assert client.topics() == {"new": 1}


def test_topics_are_administered(client: Client, log: StreamLog) -> None:
    client.create_topic("flights", 3, {"cleanup.policy": "compact"})
    assert log.topics()["flights"].partitions == 3
    client.add_partitions("flights", 5)
    assert client.topics() == {"flights": 5}
    configs = client.describe_configs("flights")
    assert configs["cleanup.policy"] == "compact"
    assert configs["max.message.bytes"] == "1048588"
    client.delete_topic("flights")
    assert client.topics() == {}
    assert log.topics() == {}


def test_a_topic_that_exists_is_not_created(client: Client, log: StreamLog) -> None:
    log.create_topic("flights")
    with pytest.raises(Exception, match=r"(?i)exists|36"):
        client.create_topic("flights", 1, {})


def test_a_compacted_topic_wants_keys(client: Client, log: StreamLog) -> None:
    log.create_topic("state", cleanup_policy="compact")
    # aiokafka knows no code for it.
    with pytest.raises(
        Exception, match=r"(?i)invalid.?record|validat|rejected|compacted|UnknownError"
    ):
        client.produce("state", [Sent(b"no key")])
    client.produce("state", [Sent(b"keyed", b"k")])
    assert client.ends("state") == (0, 1)
