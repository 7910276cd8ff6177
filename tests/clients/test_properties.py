"""A Java client's properties open a producer and a consumer here."""

from __future__ import annotations

import pytest

import streamlog
from streamlog.clients.serialization import deserialize_long
from streamlog.errors import ConfigError, UnknownSettingError, UnsupportedFeatureError

PACKAGE = "org.apache.kafka.common.serialization."
CONNECTION = {
    "bootstrap.servers": "localhost:9092",
    "client.id": "billing",
    "security.protocol": "SASL_SSL",
    "sasl.mechanism": "PLAIN",
    "ssl.endpoint.identification.algorithm": "https",
    "request.timeout.ms": "30000",
    "metrics.num.samples": "2",
}
PRODUCER = {
    **CONNECTION,
    "key.serializer": PACKAGE + "LongSerializer",
    "value.serializer": PACKAGE + "StringSerializer",
    "acks": "all",
    "retries": "2147483647",
    "linger.ms": "20",
    "batch.size": "32768",
    "enable.idempotence": "true",
    "max.in.flight.requests.per.connection": "5",
    "compression.type": "zstd",
}
CONSUMER = {
    **CONNECTION,
    "key.deserializer": PACKAGE + "LongDeserializer",
    "value.deserializer": PACKAGE + "StringDeserializer",
    "auto.offset.reset": "earliest",
    "enable.auto.commit": "false",
    "max.poll.records": "10",
    "check.crcs": "true",
}


def test_a_java_clients_properties_open_a_producer_and_a_consumer() -> None:
    with streamlog.open(":memory:") as log:
        log.create_topic("orders")
        with log.producer(**streamlog.from_properties(PRODUCER)) as producer:
            producer.send("orders", "größe", key=42).result()
        with log.consumer("orders", **streamlog.from_properties(CONSUMER)) as consumer:
            found = consumer.poll(0)
    assert [(record.key, record.value) for record in found] == [(42, "größe")]


def test_what_is_left_is_typed() -> None:
    keywords = streamlog.from_properties(PRODUCER)
    assert {name: keywords[name] for name in ("acks", "linger_ms", "enable_idempotence")} == {
        "acks": -1,
        "linger_ms": 20,
        "enable_idempotence": True,
    }
    assert not keywords.keys() & {"bootstrap_servers", "retries", "sasl_mechanism"}
    typed = {"linger.ms": 3, "value.deserializer": deserialize_long, "check_crcs": False}
    assert streamlog.from_properties(typed) == {
        "linger_ms": 3,
        "value_deserializer": deserialize_long,
        "check_crcs": False,
    }


def test_bytes_need_no_serializer() -> None:
    assert streamlog.from_properties(
        {
            "key.serializer": PACKAGE + "ByteArraySerializer",
            "value.deserializer": PACKAGE + "ByteArrayDeserializer",
        }
    ) == {"key_serializer": None, "value_deserializer": None}


def test_a_class_that_nothing_stands_for_is_named() -> None:
    wanted = {"value.serializer": "io.confluent.kafka.serializers.KafkaAvroSerializer"}
    with pytest.raises(ConfigError, match=r"KafkaAvroSerializer.*give value_serializer="):
        streamlog.from_properties(wanted)
    with pytest.raises(ConfigError, match="Java class"):  # of the other direction
        streamlog.from_properties({"value.serializer": PACKAGE + "StringDeserializer"})


def test_what_is_not_offered_is_refused_by_the_call_itself() -> None:
    with streamlog.open(":memory:") as log:
        keywords = streamlog.from_properties({"transactional.id": "t"})
        with pytest.raises(UnsupportedFeatureError, match="transactional_id"):
            log.producer(**keywords)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("max.poll.record", "max.poll.records"), ("linger", "linger.ms"), ("zzz", None)],
)
def test_a_name_that_nobody_knows_is_refused_with_the_nearest(
    name: str, nearest: str | None
) -> None:
    with pytest.raises(UnknownSettingError) as raised:
        streamlog.from_properties({name: "1"})
    assert repr(name) in str(raised.value)
    assert (f"did you mean {nearest}?" in str(raised.value)) is (nearest is not None)


@pytest.mark.parametrize(("name", "value"), [("linger.ms", "soon"), ("acks", "2")])
def test_a_value_that_is_not_allowed_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError):
        streamlog.from_properties({name: value})
