"""The small files that a broker keeps beside its records: we read them and write the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamlog.protocol import Uuid
from streamlog.record.kernel import scan_segment
from streamlog.record.scan_outcome import ScanOutcome
from streamlog.storage.checkpoints import format_offset_checkpoint, parse_offset_checkpoint
from streamlog.storage.indexes import TIME_ENTRY
from streamlog.storage.leader_epochs import format_leader_epochs, parse_leader_epochs
from streamlog.storage.partition_metadata import (
    format_partition_metadata,
    parse_partition_metadata,
)
from streamlog.storage.producer_snapshot import decode_snapshot, encode_snapshot
from streamlog.storage.producer_state import ProducerStateTable
from streamlog.storage.properties import (
    format_meta_properties,
    parse_meta_properties,
    parse_properties,
)
from tests.interop.rig.broker import CLUSTER_ID
from tests.interop.rig.samples import CODECS, BrokerData

pytestmark = pytest.mark.interop

INDEX_INTERVAL_BYTES = 1024
"""As the fixture's topics have it."""

TOPICS = [f"{kind}-{codec}" for kind in ("text", "binary") for codec in CODECS]


def scan(log: bytes) -> ScanOutcome:
    return scan_segment(
        log,
        start=0,
        end=len(log),
        segment_base_offset=0,
        expected_offset=0,
        index_interval_bytes=INDEX_INTERVAL_BYTES,
    )


@pytest.fixture
def data(broker_data: BrokerData) -> Path:
    return broker_data.directory


@pytest.mark.parametrize("topic", TOPICS)
def test_a_scan_finds_the_index_entries_that_the_broker_wrote(data: Path, topic: str) -> None:
    log, offsets, times = (
        (data / f"{topic}-0" / f"{0:020}.{kind}").read_bytes()
        for kind in ("log", "index", "timeindex")
    )
    outcome = scan(log)
    assert (outcome.stop, outcome.valid_end, outcome.next_offset) == (None, len(log), 250)
    assert bytes(outcome.offset_index) == offsets
    # A broker that stops adds the largest timestamp as the last entry, if it is not there yet.
    found = bytes(outcome.time_index)
    if outcome.max_timestamp > outcome.last_time_index_timestamp:
        found += TIME_ENTRY.pack(outcome.max_timestamp, outcome.max_timestamp_offset)
    assert found == times


@pytest.mark.parametrize("topic", TOPICS)
def test_producer_snapshots_are_the_brokers_byte_for_byte(data: Path, topic: str) -> None:
    folder = data / f"{topic}-0"
    written = (folder / f"{250:020}.snapshot").read_bytes()
    assert encode_snapshot(decode_snapshot(written, 250)) == written
    # And the state is the one that replaying the log leads to.
    table = ProducerStateTable()
    log = (folder / f"{0:020}.log").read_bytes()
    for batch in scan(log).producer_batches:
        table.apply(batch)
    assert encode_snapshot(table) == written


def test_checkpoints_are_the_brokers_in_any_order(data: Path) -> None:
    for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint"):
        written = (data / name).read_bytes()
        offsets = parse_offset_checkpoint(written, name)
        assert {offsets[topic, 0] for topic in TOPICS} == {250}
        assert sorted(format_offset_checkpoint(offsets).splitlines()) == sorted(
            written.splitlines()
        )


@pytest.mark.parametrize("folder", ["text-none-0", "__cluster_metadata-0"])
def test_leader_epochs_are_the_brokers_byte_for_byte(data: Path, folder: str) -> None:
    written = (data / folder / "leader-epoch-checkpoint").read_bytes()
    epochs = parse_leader_epochs(written)
    assert epochs.latest is not None
    assert format_leader_epochs(epochs) == written


@pytest.mark.parametrize("folder", ["text-none-0", "__cluster_metadata-0"])
def test_partition_metadata_is_the_brokers_byte_for_byte(data: Path, folder: str) -> None:
    written = (data / folder / "partition.metadata").read_bytes()
    topic_id = parse_partition_metadata(written)
    assert str(Uuid(topic_id)) in written.decode()
    assert format_partition_metadata(topic_id) == written


def test_meta_properties_are_the_brokers(data: Path) -> None:
    written = (data / "meta.properties").read_bytes()
    meta = parse_meta_properties(written)
    assert (meta.cluster_id, meta.node_id) == (CLUSTER_ID, 1)
    assert parse_properties(format_meta_properties(meta)) == parse_properties(written)
