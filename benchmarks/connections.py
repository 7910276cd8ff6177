"""How much memory of its own does a listener take with 1,000 connections at the same time?

`RssAnon` of the process of `streamlog serve`: memory that is not a file's page cache. Each
connection does what a client's does: it asks for the versions and the metadata, produces a batch of
16 KiB, fetches what the topic begins with (at most 1 MiB), and then waits at its end for more. The
memory is looked at after each of them, and while all wait. Then one more batch is produced, which
every connection has to get.

What is fair: the interpreter, the imported modules and what threads use of their stacks count.
"""

from __future__ import annotations

import resource
from contextlib import ExitStack
from typing import Any

from rig.bare import one_record_batch
from rig.benchmark import WRITTEN, Options, Result, Row, run_benchmark
from rig.listening import Connection, serving
from rig.ours import new_log
from rig.processes import anonymous_mib

from streamlog.protocol import message

_TOPIC = "log"
_COUNT = 1_000
_TARGET_MIB = 100
_VALUE_BYTES = 16_384
_FETCH_BYTES = 1 << 20
_WAIT_MS = 60_000
_DESCRIPTORS = 4_096

_metadata = message("MetadataRequest").structs
_produced = message("ProduceRequest").structs
_fetched = message("FetchRequest").structs


def introduce(connection: Connection) -> Any:
    """What every client asks first; returns the topic's id."""
    connection.ask("ApiVersions", 4, client_software_name="benchmark", client_software_version="1")
    topics = [_metadata["MetadataRequestTopic"](name=_TOPIC)]
    (topic,) = connection.ask("Metadata", 13, topics=topics).topics
    assert topic.error_code == 0, topic
    return topic.topic_id


def produce(connection: Connection, topic_id: Any, batch: bytes) -> int:
    """Produce a batch of one record; returns the offset behind it."""
    data = [_produced["PartitionProduceData"](0, batch)]
    topic = _produced["TopicProduceData"](topic_id=topic_id, partition_data=data)
    answer = connection.ask("Produce", 13, acks=1, timeout_ms=1_000, topic_data=[topic])
    (found,) = answer.responses[0].partition_responses
    assert found.error_code == 0, found
    return int(found.base_offset) + 1


def send_fetch(connection: Connection, topic_id: Any, offset: int) -> None:
    wanted = _fetched["FetchPartition"](
        partition=0, fetch_offset=offset, partition_max_bytes=_FETCH_BYTES
    )
    topic = _fetched["FetchTopic"](topic_id=topic_id, partitions=[wanted])
    connection.send(
        "Fetch", 17, max_wait_ms=_WAIT_MS, min_bytes=1, max_bytes=_FETCH_BYTES, topics=[topic]
    )


def receive_fetch(connection: Connection) -> int:
    """How many bytes of records came."""
    (found,) = connection.receive().responses[0].partitions
    assert found.error_code == 0, found
    return len(found.records)


def hold_connections(bootstrap: str, pid: int, batch: bytes, count: int) -> tuple[float, float]:
    """The most memory while connections came and worked, and with all of them waiting, in MiB."""
    most = 0.0
    with ExitStack() as stack:
        connections = []
        for _ in range(count):
            connection = stack.enter_context(Connection(bootstrap))
            connections.append(connection)
            topic_id = introduce(connection)
            end = produce(connection, topic_id, batch)
            send_fetch(connection, topic_id, 0)
            assert receive_fetch(connection) >= len(batch)
            most = max(most, anonymous_mib(pid))
        for connection in connections:
            send_fetch(connection, topic_id, end)
        with Connection(bootstrap) as another:
            introduce(another)  # by then the others are waiting
            waiting = anonymous_mib(pid)
            produce(another, topic_id, batch)
        for connection in connections:
            assert receive_fetch(connection) == len(batch)
            most = max(most, anonymous_mib(pid))
    return max(most, waiting), waiting


def measure(options: Options) -> list[Result]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_DESCRIPTORS, hard), hard))
    count = options.pick(_COUNT, 50)
    batch = one_record_batch(options.scratch, bytes(_VALUE_BYTES))
    with new_log(options.scratch) as log:
        log.create_topic(_TOPIC)
        with serving(log.path) as served:
            with Connection(served.bootstrap) as connection:
                introduce(connection)
                before = anonymous_mib(served.pid)
            most, waiting = hold_connections(served.bootstrap, served.pid, batch, count)
        assert sum(1 for _ in log.read(_TOPIC)) == count + 1, "records were lost"
    return [
        Row(
            f"anonymous memory (`RssAnon`) of a listener with {count:,} connections",
            f"under {_TARGET_MIB} MiB",
            f"{most:.0f} MiB ({waiting:.0f} MiB while all wait, {before:.0f} MiB with one)",
            most < _TARGET_MIB,
            WRITTEN,
        )
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
