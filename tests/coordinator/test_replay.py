"""Replaying a log: what survives, in whatever pieces, from whatever broker, compacted or not."""

from __future__ import annotations

import importlib
import importlib.util
import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlog.coordinator import (
    CoordinatorRecord,
    ErrorCode,
    GroupCoordinator,
    RequestContext,
    records,
)
from streamlog.coordinator import last_records as pure
from streamlog.coordinator.classic.recorded import RecordedGroup
from streamlog.coordinator.consumer.group import ConsumerGroup
from streamlog.coordinator.consumer.member import MemberState
from streamlog.coordinator.groups.table import ForeignGroup
from streamlog.errors import CorruptRecordError
from streamlog.protocol.coordinator_records import OFFSETS
from streamlog.record.control import ControlType, EndTransactionMarker, build_end_transaction_marker
from streamlog.record.kernel import RecordBatchBuilder
from tests.coordinator.driver import SETTINGS, World, beat_fields, code, image, make, part, topic_id
from tests.coordinator.simulation import Simulation
from tests.coordinator.stories import Classic, Consumers

LAST_RECORDS = {"pure": pure.last_records}
if importlib.util.find_spec("streamlog.coordinator._last_records") is not None:
    compiled = importlib.import_module("streamlog.coordinator._last_records")
    LAST_RECORDS["compiled"] = compiled.last_records

Pairs = Iterable[tuple[bytes | None, bytes | None]]


def batch(pairs: Pairs, base_offset: int = 0, headers: Any = (), **fields: Any) -> bytes:
    builder = RecordBatchBuilder(base_offset=base_offset, **fields)
    for key, value in pairs:
        builder.append(7, key, value, headers)
    return bytes(builder.build())


def replaying(*batches: bytes) -> GroupCoordinator:
    coordinator = GroupCoordinator(SETTINGS, image({"orders": 3}), lambda: "x")
    for each in batches:
        coordinator.replay_log(each)
    return coordinator


def encoded(*found: CoordinatorRecord) -> list[tuple[bytes, bytes | None]]:
    return [record.encode() for record in found]


def offset_record(offset: int, partition: int = 0) -> CoordinatorRecord:
    value = make("OffsetCommitValue", offset=offset, metadata="")
    return records.offset_commit("g", "orders", partition, value)


def committed(coordinator: GroupCoordinator, partition: int = 0) -> int | None:
    stored = coordinator._state.offsets.get("g", "orders", partition)
    return None if stored is None else int(stored.value.offset)


# ------------------------------------------------------------------------------ the last records


@pytest.mark.parametrize("name", LAST_RECORDS)
def test_of_each_key_the_last_record(name: str) -> None:
    data = batch([(b"a", b"1"), (b"b", b"1"), (b"a", None), (None, b"x")])
    data += batch([(b"c", b""), (b"b", b"2")], base_offset=10)
    found, position, next_offset = LAST_RECORDS[name](data)
    assert found == [(2, b"a", None), (10, b"c", b""), (11, b"b", b"2")]
    assert (position, next_offset) == (len(data), 12)


@pytest.mark.parametrize("name", LAST_RECORDS)
def test_it_stops_before_what_is_not_simply_there(name: str) -> None:
    plain = batch([(b"a", b"1")])
    others = [
        batch([(b"a", b"2")], 1, producer_id=3, producer_epoch=0, transactional=True),
        batch([(b"a", b"2")], 1, codec=1),
        batch([(b"a", b"2")], 1)[:-1],
        b"\x00" * 100,
        b"short",
    ]
    for other in others:
        assert LAST_RECORDS[name](plain + other) == ([(0, b"a", b"1")], len(plain), 1)
    assert LAST_RECORDS[name](plain, len(plain)) == ([], len(plain), -1)


@pytest.mark.skipif(len(LAST_RECORDS) == 1, reason="the compiled twin was not built: no C compiler")
@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.none() | st.binary(max_size=3), st.none() | st.binary(max_size=5)),
            min_size=1,
            max_size=6,
        ),
        max_size=5,
    ),
    st.integers(0, 2**32),
)
def test_the_twins_say_the_same(batches: list[Any], seed: int) -> None:
    """Also of batches in which bytes were turned: neither reads outside of them."""
    base, data = 0, b""
    for pairs in batches:
        data += batch(pairs, base)
        base += len(pairs)
    assert LAST_RECORDS["compiled"](data) == LAST_RECORDS["pure"](data)
    rng = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(min(3, len(damaged))):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    found = [LAST_RECORDS[name](bytes(damaged)) for name in ("compiled", "pure")]
    assert found[0] == found[1]


# ------------------------------------------------------------------------------------ the whole


def test_a_log_is_replayed_in_any_pieces() -> None:
    for seed in range(20):
        simulation = Simulation(seed)
        simulation.run(40)
        batches = simulation.log.batches
        whole = replaying(b"".join(batches))
        pieces = replaying(*batches)
        assert whole._state.groups == pieces._state.groups
        assert whole._state.offsets == pieces._state.offsets
        assert whole.next_offset == pieces.next_offset == simulation.log.end


def test_a_compacted_log_says_the_same() -> None:
    """The last record of each key, tombstones gone: what Kafka's cleaner leaves."""
    for seed in range(20):
        simulation = Simulation(seed)
        simulation.run(40)
        data = b"".join(simulation.log.batches)
        kept = [(k, v) for _, k, v in pure.last_records(data)[0] if v is not None]
        compacted, whole = replaying(batch(kept) if kept else b""), replaying(data)
        assert compacted._state.groups == whole._state.groups
        for group_id in whole._state.offsets.groups():
            values = [
                {key: stored.encoded for key, stored in each._state.offsets.of_group(group_id)}
                for each in (compacted, whole)
            ]
            assert values[0] == values[1]


def test_replaying_alone_changes_no_timers_and_no_answers() -> None:
    world = World()
    Classic(world).stable(2)
    coordinator = replaying(world.log.since(0))
    assert coordinator.next_deadline_ms() is None
    assert coordinator._state.classic is None


# --------------------------------------------------------------------------------- transactions


def transactional(offset: int, base_offset: int, producer_id: int = 5) -> bytes:
    fields = {"producer_id": producer_id, "producer_epoch": 0, "transactional": True}
    return batch(encoded(offset_record(offset)), base_offset, **fields)


def marker(type_: ControlType, base_offset: int, producer_id: int = 5) -> bytes:
    value = EndTransactionMarker(type_, 0, producer_id, 0)
    return bytes(build_end_transaction_marker(value, timestamp=7, base_offset=base_offset))


def test_a_transaction_counts_when_it_is_committed() -> None:
    coordinator = replaying(batch(encoded(offset_record(1))), transactional(2, 1))
    assert (committed(coordinator), coordinator.next_offset) == (1, 2)
    coordinator.replay_log(marker(ControlType.COMMIT, 2))
    assert (committed(coordinator), coordinator.next_offset) == (2, 3)


def test_an_aborted_transaction_never_does() -> None:
    log = transactional(2, 0) + marker(ControlType.ABORT, 1) + marker(ControlType.COMMIT, 2)
    assert committed(replaying(log)) is None


def test_transactions_of_others_are_their_own() -> None:
    log = transactional(2, 0, 5) + transactional(3, 1, 6) + marker(ControlType.COMMIT, 2, 6)
    coordinator = replaying(log)
    assert committed(coordinator) == 3
    coordinator.replay_log(marker(ControlType.COMMIT, 3, 5))
    assert committed(coordinator) == 3, "its record is the older one"


def test_a_compressed_batch_is_read() -> None:
    assert committed(replaying(batch(encoded(offset_record(4)), codec=1))) == 4


# -------------------------------------------------------------------------------- other brokers


def test_the_oldest_records_of_offsets_are_understood() -> None:
    key = bytearray(OFFSETS.encode_key(make("OffsetCommitKey", group="g", topic="orders")))
    key[:2] = b"\x00\x00"
    value = make("OffsetCommitValue", offset=6, metadata="m")
    coordinator = replaying(batch([(bytes(key), OFFSETS.encode_value(value, 0))]))
    assert committed(coordinator) == 6


def test_records_that_nobody_knows_are_passed_over() -> None:
    coordinator = replaying(batch([(b"\x00\x7fnew", b"?"), *encoded(offset_record(1))]))
    assert committed(coordinator) == 1


def test_groups_of_other_kinds_keep_their_name() -> None:
    found = []
    for kind in ("Share", "Streams"):
        key = make(f"{kind}GroupMetadataKey", group_id=kind)
        found.append(CoordinatorRecord(key, make(f"{kind}GroupMetadataValue")))
    world = World(check_restarts=False)
    world.log.append(found, 7, 0)
    world.catch_up()
    assert world.coordinator._state.groups.get("Share") == ForeignGroup("Share", "Share")
    refused = Consumers(world, group_id="Share").refused("a", 0)
    assert refused == ErrorCode.GROUP_ID_NOT_FOUND
    token = Classic(world, "Streams").join("")
    assert code(world.answer(token)) == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    tombstone = CoordinatorRecord(found[0].key, None)
    world.log.append([tombstone], 7, world.log.end)
    world.catch_up()
    assert world.coordinator._state.groups.get("Share") is None


def test_a_broker_of_4_0_wrote_no_epochs_and_no_hash() -> None:
    """Its members' partitions count as given in the members' epoch; its partitions' record goes."""
    name = "ConsumerGroupCurrentMemberAssignmentValue"
    topics = [part(name, "TopicPartitions", topic_id=topic_id("orders"), partitions=[0, 1, 2])]
    assigned = make(name, member_epoch=4, state=0, assigned_partitions=topics)
    member = {"group_id": "g", "member_id": "a"}
    world = World()
    world.check_restarts = False
    Consumers(world).beat("a", 0)
    added = [
        CoordinatorRecord(make("ConsumerGroupCurrentMemberAssignmentKey", **member), assigned),
        CoordinatorRecord(
            make("ConsumerGroupPartitionMetadataKey", group_id="g"),
            make("ConsumerGroupPartitionMetadataValue"),
        ),
        records.group_epoch("g", 4, 0),
    ]
    world.log.append(added, 7, world.log.end)
    world.catch_up()
    held = world.consumer_group().members["a"].assigned
    assert held == {(topic_id("orders"), p): 4 for p in range(3)}
    assert Consumers(world).beat("a", 4)[0] == 5
    assert not world.consumer_group().has_partition_metadata


def test_a_state_that_a_newer_broker_wrote() -> None:
    """Its member has to come with nothing."""
    world = World(check_restarts=False)
    group = Consumers(world)
    group.beat("a", 0)
    member = world.consumer_group().members["a"]
    odd = records.current_assignment("g", member)
    odd.value.state = 99
    world.log.append([odd], 7, world.log.end)
    world.catch_up()
    assert world.consumer_group().members["a"].state is MemberState.UNKNOWN
    assert group.refused("a", 2, {"orders": [0]}) == ErrorCode.FENCED_MEMBER_EPOCH
    assert group.beat("a", 2, {})[0] == 2
    assert world.consumer_group().members["a"].state is MemberState.STABLE


def test_a_classic_group_is_what_its_last_record_says() -> None:
    world = World()
    members = Classic(world).stable(2)
    recorded = replaying(world.log.since(0))._state.groups.get("g")
    assert isinstance(recorded, RecordedGroup)
    assert [member.member_id for member in recorded.members] == members
    assert recorded.members[1].assignment == members[1].encode()
    assert (recorded.generation, recorded.subscribed_topics) == (1, frozenset({"orders"}))


def test_members_of_old_records_have_their_session_timeout_to_rebalance() -> None:
    name = "GroupMetadataValue"
    member = part(name, "MemberMetadata", member_id="m", client_id="c", session_timeout=9_000)
    value = make(name, protocol_type="consumer", generation=3, protocol="range", members=[member])
    pair = (OFFSETS.encode_key(make("GroupMetadataKey", group="g")), OFFSETS.encode_value(value, 0))
    recorded = replaying(batch([pair]))._state.groups.get("g")
    assert isinstance(recorded, RecordedGroup)
    assert recorded.members[0].rebalance_timeout_ms == 9_000


# -------------------------------------------------------------------------------------- damage


def test_bytes_that_are_no_batches_are_refused_by_name() -> None:
    good = batch(encoded(offset_record(1)))
    coordinator = replaying()
    with pytest.raises(CorruptRecordError):
        coordinator.replay_log(good + b"\xff" * 80)
    assert (committed(coordinator), coordinator.next_offset) == (1, 1)


def test_a_record_that_does_not_fit_is_passed_over_by_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = OFFSETS.encode_key(make("GroupMetadataKey", group="g"))
    pairs = [(key, b"\x00\x03nonsense"), *encoded(offset_record(1))]
    coordinator = replaying(batch(pairs))
    assert (committed(coordinator), coordinator.next_offset) == (1, 2)
    assert "offset 0 of its partition" in caplog.text
    assert "GroupMetadataValue" in caplog.text


def test_an_offset_that_nobody_asks_for_is_not_even_decoded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    key, _ = offset_record(1).encode()
    stored = replaying(batch([(key, b"\x00\x63")]))._state.offsets.get("g", "orders", 0)
    assert stored is not None
    assert caplog.text == ""
    assert stored.value is None
    assert "OffsetCommitValue" in caplog.text


# ---------------------------------------------------------------------------- the only mutator


def test_a_group_is_changed_by_replay_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handling without replaying the records leaves the state as it was."""
    world = World(check_restarts=False)
    Consumers(world).beat("a", 0)
    before = replaying(world.log.since(0))._state.groups
    monkeypatch.setattr(world.coordinator, "replay", lambda record, log_offset: None)
    request = make("ConsumerGroupHeartbeatRequest", **beat_fields("b", 0))
    context = RequestContext("token", 1, "c", "/127.0.0.1")
    result = world.coordinator.handle(request, context, world.clock.now())
    assert result.records
    world.coordinator.apply(result)
    assert world.coordinator._state.groups == before


def test_copies_of_a_group_are_equal_and_apart() -> None:
    world = World()
    Consumers(world).beat("a", 0)
    group = world.consumer_group()
    copied = group.copy()
    assert copied == group
    copied.replay("Metadata", None, make("ConsumerGroupMetadataValue", epoch=9))
    assert copied != group
    assert group != ConsumerGroup("g")
