"""What groups do, each scenario with three clients that know nothing of us, in both protocols."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Self

import pytest

from streamlog.clients.stream_log import StreamLog
from streamlog.listener import Listener
from streamlog.protocol import message
from tests.wire import group_requests
from tests.wire.client import Sent
from tests.wire.consumers import CONSUMERS, Got, GroupConsumer
from tests.wire.crews import Crew

PARTITIONS = 6
TOPIC = "flights"


@pytest.fixture(params=CONSUMERS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> type[GroupConsumer]:
    found: type[GroupConsumer] = request.param
    return found


@pytest.fixture
def listener(kind: type[GroupConsumer], log: StreamLog) -> Iterator[Listener]:
    with log.listen(group_initial_rebalance_delay_ms=kind.initial_delay_ms) as listener:
        yield listener


@pytest.fixture
def crew(kind: type[GroupConsumer], log: StreamLog, listener: Listener) -> Iterator[Crew]:
    log.create_topic(TOPIC, PARTITIONS)
    crew = Crew(kind, "crew", TOPIC)
    yield crew
    crew.close()


def committed(log: StreamLog, group_id: str) -> dict[int, tuple[int, str]]:
    """Offsets and metadata by partition, as a process is told them."""
    request = message("OffsetFetchRequest").Value(**group_requests.fetch(9, group_id, None))
    (group,) = log.engine().groups.ask(request, 9).groups
    return {  # confluent-kafka adds a zero to what it is given
        each.partition_index: (each.committed_offset, each.metadata.rstrip("\0"))
        for topic in group.topics
        for each in topic.partitions
    }


class Load:
    """Records that keep coming, until the block ends."""

    def __init__(self, log: StreamLog) -> None:
        self.values: set[bytes] = set()
        self._log = log
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._produce)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _produce(self) -> None:
        with self._log.producer(linger_ms=0) as producer:
            while not self._is_over.wait(0.002):
                number = len(self.values)
                value = b"%d" % number
                producer.send(TOPIC, value, partition=number % PARTITIONS).result()
                self.values.add(value)


def test_members_come_and_go_under_load(crew: Crew, log: StreamLog, listener: Listener) -> None:
    """Every record is processed by somebody, and in the end all of them are committed."""
    bootstrap = listener.bootstrap_servers
    with Load(log) as load:
        crew.hire("a", bootstrap)
        crew.wait_until_shared(PARTITIONS)
        crew.hire("b", bootstrap)
        crew.wait_until_shared(PARTITIONS)
        crew.hire("c", bootstrap)
        crew.wait_until_shared(PARTITIONS)
        crew.fire("a")
        crew.wait_until_shared(PARTITIONS)
        crew.hire("d", bootstrap)
        crew.fire("b")
        crew.wait_until_shared(PARTITIONS)
    crew.wait_until_processed(load.values)
    crew.close()
    ends = {n: log.engine().partition(TOPIC, n).log_end for n in range(PARTITIONS)}
    assert {n: offset for n, (offset, _) in committed(log, "crew").items()} == ends


def test_a_static_member_comes_back(crew: Crew, log: StreamLog, listener: Listener) -> None:
    """And has what it had: it was not missed."""
    for name in ("a", "b"):
        crew.hire(name, listener.bootstrap_servers, is_static=True)
        crew.wait_until_shared(PARTITIONS)
    before = crew.assignments()
    crew.fire("a")
    crew.hire("a", listener.bootstrap_servers, is_static=True)
    crew.wait_until_shared(PARTITIONS)
    assert crew.assignments() == before


def poll(consumer: GroupConsumer, count: int) -> list[Got]:
    """So many records, however many polls it takes."""
    found: list[Got] = []
    while len(found) < count:
        found += consumer.poll()
    assert len(found) == count
    return found


@pytest.fixture
def consumer(
    kind: type[GroupConsumer], log: StreamLog, listener: Listener
) -> Iterator[GroupConsumer]:
    """It has read the ten records that there are."""
    log.create_topic(TOPIC)
    with log.producer() as producer:
        producer.send_many(TOPIC, [b"%d" % number for number in range(10)]).result()
    consumer = kind(listener.bootstrap_servers, "crew", TOPIC)
    assert [each.offset for each in poll(consumer, 10)] == list(range(10))
    yield consumer
    consumer.close()


def test_what_is_committed_is_seen_by_all(consumer: GroupConsumer, log: StreamLog) -> None:
    assert consumer.committed(0) is None
    consumer.commit()
    assert consumer.committed(0) == (10, "")
    assert committed(log, "crew") == {0: (10, "")}
    consumer.commit({0: (4, "half way")})
    offset, metadata = consumer.committed(0) or (None, None)
    assert offset == 4
    assert metadata in ("half way", "")  # aiokafka tells none
    assert committed(log, "crew") == {0: (4, "half way")}


def test_seeking(consumer: GroupConsumer) -> None:
    consumer.seek(0, 7)
    assert [each.offset for each in poll(consumer, 3)] == [7, 8, 9]
    consumer.seek(0, 0)
    assert [each.offset for each in poll(consumer, 10)] == list(range(10))


def test_a_paused_partition_waits(
    kind: type[GroupConsumer], log: StreamLog, listener: Listener
) -> None:
    """While the others are read, and is read from where it was when it is resumed."""
    log.create_topic(TOPIC, 2)

    def send(value: bytes) -> None:
        with log.producer() as producer:
            for partition in range(2):
                producer.send(TOPIC, value, partition=partition)

    with closing(kind(listener.bootstrap_servers, "crew", TOPIC)) as consumer:
        send(b"before")
        assert {each.partition for each in poll(consumer, 2)} == {0, 1}
        consumer.pause(0)
        send(b"meanwhile")
        assert [each.partition for each in poll(consumer, 1) + consumer.poll()] == [1]
        consumer.resume(0)
        assert poll(consumer, 1) == [Got(0, 1, b"meanwhile")]


def test_topics_that_match_a_pattern(
    kind: type[GroupConsumer], log: StreamLog, listener: Listener
) -> None:
    """Many, none that does not, and one that is made while the member is there."""
    for number in range(60):
        log.create_topic(f"flights-{number}")
    log.create_topic("other-flights")
    with log.producer() as producer:
        producer.send("other-flights", b"not wanted")
        for number in range(60):
            producer.send(f"flights-{number}", b"%d" % number)
    with closing(kind(listener.bootstrap_servers, "crew", "^flights-.*")) as consumer:
        seen = {each.value for each in poll(consumer, 60)}
        assert seen == {b"%d" % number for number in range(60)}
        consumer.commit()  # the topic that comes is a rebalance
        log.create_topic("flights-60")
        with log.producer() as producer:
            producer.send("flights-60", b"late")
        if kind.survives_new_topics:
            assert [each.value for each in poll(consumer, 1)] == [b"late"]


def test_the_next_member_goes_on(
    kind: type[GroupConsumer], consumer: GroupConsumer, log: StreamLog, listener: Listener
) -> None:
    """Where the last one committed, and where a process did while nobody was there."""
    consumer.commit({0: (4, "")})
    consumer.close()
    consumer.close = lambda: None  # type: ignore[method-assign]  # it is
    following = kind(listener.bootstrap_servers, "crew", TOPIC)
    assert [each.offset for each in poll(following, 6)] == [4, 5, 6, 7, 8, 9]
    following.close()
    request = message("OffsetCommitRequest").Value(**group_requests.commit("crew", 8))
    answer = log.engine().groups.ask(request, 9)
    assert answer.topics[0].partitions[0].error_code == 0
    last = kind(listener.bootstrap_servers, "crew", TOPIC)
    assert [each.offset for each in poll(last, 2)] == [8, 9]
    last.close()


def test_records_of_a_client_reach_a_member(
    kind: type[GroupConsumer], log: StreamLog, listener: Listener
) -> None:
    """That waits for them: produced over the wire, too."""
    from tests.wire.clients import ConfluentClient

    log.create_topic(TOPIC)
    consumer = kind(listener.bootstrap_servers, "crew", TOPIC)
    while not consumer.assignment():
        consumer.poll()
    ConfluentClient(listener.bootstrap_servers).produce(TOPIC, [Sent(b"late")])
    assert [each.value for each in poll(consumer, 1)] == [b"late"]
    consumer.close()
