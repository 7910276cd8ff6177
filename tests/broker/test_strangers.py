"""What somebody else did to the files between two openings: a broker that went on, a lost end."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import streamlog
from streamlog.record.kernel import RecordBatch, RecordBatchBuilder

LOG = "orders-0/00000000000000000000.log"


def write_and_die(directory: str) -> None:
    """Three records given to the operating system, then no close at all."""
    log = streamlog.open(directory)
    log.create_topic("orders")
    with log.producer(acks=1) as producer:
        producer.send_many("orders", [b"one", b"two", b"three"]).result()
    os._exit(0)


def left_by_a_killed_process(directory: str) -> str:
    process = multiprocessing.get_context("spawn").Process(target=write_and_die, args=(directory,))
    process.start()
    process.join()
    assert process.exitcode == 0
    return directory


def test_what_a_broker_appended_after_a_kill_is_kept(directory: str) -> None:
    path = left_by_a_killed_process(directory)
    builder = RecordBatchBuilder(base_offset=3, leader_epoch=1)
    builder.append(1000, None, b"the broker's", ())
    with Path(directory, LOG).open("ab") as file:
        file.write(builder.build())
    with streamlog.open(path) as log:
        values = [record.value for record in log.read("orders")]
    assert values == [b"one", b"two", b"three", b"the broker's"]


def test_a_file_that_only_became_shorter_bumps_the_epoch(directory: str) -> None:
    path = left_by_a_killed_process(directory)
    os.truncate(Path(directory, LOG), 0)  # as power loss leaves what was never synced
    with streamlog.open(path) as log:
        assert list(log.read("orders")) == []
        with log.producer(acks=1) as producer:
            producer.send("orders", b"after").result()
    assert RecordBatch(Path(directory, LOG).read_bytes()).leader_epoch == 1
