"""What consumers of a group commit: by hand, by themselves, and as whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streamlog import OffsetAndMetadata, TopicPartition
from streamlog.errors import (
    ConfigError,
    GroupError,
    LogTruncatedError,
    MemberFencedError,
    OffsetOutOfRangeError,
    UnknownTopicError,
    UsageError,
)
from tests.clients.conftest import Story
from tests.clients.members import (
    BY_HAND,
    FLIGHTS,
    GROUP,
    LIMIT_MS,
    ORDERS_0,
    ORDERS_1,
    fence,
    offsets,
    values,
)

# ---------------------------------------------------------------- committing


def test_a_group_goes_on_where_it_committed(story: Story) -> None:
    story.write("orders", 0, *(b"%d" % n for n in range(10)))
    with story.log.consumer("orders", **BY_HAND) as consumer:
        assert len(consumer.poll(LIMIT_MS, max_records=4)) == 4
        assert consumer.committed(ORDERS_0) == {ORDERS_0: None}
        consumer.commit()
        assert consumer.committed(ORDERS_0) == {ORDERS_0: OffsetAndMetadata(4, "", 0)}
        consumer.poll(LIMIT_MS, max_records=3)
    with story.log.consumer("orders", **BY_HAND) as consumer:
        assert consumer.position(ORDERS_0) == 4
        assert values(consumer.poll(LIMIT_MS)) == [b"%d" % n for n in range(4, 10)]
        assert consumer.lag() == {ORDERS_0: 0, ORDERS_1: 0}


def test_a_commit_in_the_loop_covers_the_record_at_hand(story: Story) -> None:
    story.write("orders", 0, b"a", b"b", b"c")
    consumer = story.log.consumer("orders", **BY_HAND)
    for record in consumer:
        if record.value == b"b":
            consumer.commit()
            break
    assert offsets(consumer.committed(ORDERS_0)) == {ORDERS_0: 2}


def test_chosen_offsets_are_committed_with_what_is_to_be_remembered(story: Story) -> None:
    story.write("orders", 0, b"a", b"b", b"c")
    consumer = story.log.consumer("orders", **BY_HAND)
    consumer.commit({ORDERS_0: 1, FLIGHTS: OffsetAndMetadata(7, "seven", 3)})
    assert consumer.committed(ORDERS_0, ORDERS_1, FLIGHTS) == {
        ORDERS_0: OffsetAndMetadata(1),
        ORDERS_1: None,
        FLIGHTS: OffsetAndMetadata(7, "seven", 3),
    }
    assert offsets(consumer.committed([ORDERS_0, ORDERS_1])) == {ORDERS_0: 1, ORDERS_1: None}
    assert consumer.committed([]) == {}
    for asked in ("orders", ["orders"], [(ORDERS_0, ORDERS_1)], 5):
        with pytest.raises(ConfigError, match="a TopicPartition is expected"):
            consumer.committed(asked)
    assert consumer.position(ORDERS_0) == 0  # a commit moves nothing
    for wrong in (
        *(-1, 2**63, True, "1"),
        *(OffsetAndMetadata(0, metadata) for metadata in (5, "\ud800")),  # type: ignore[arg-type]
        *(OffsetAndMetadata(0, "", epoch) for epoch in ("0", -2, 2**31)),  # type: ignore[arg-type]
    ):
        with pytest.raises(ConfigError):
            consumer.commit({ORDERS_0: wrong})
    with pytest.raises(ConfigError):
        consumer.commit([ORDERS_0])
    with pytest.raises(UnknownTopicError):
        consumer.commit({TopicPartition("orders", 2): 1})
    with pytest.raises(GroupError) as caught:
        consumer.commit({ORDERS_0: OffsetAndMetadata(2, "x" * 5000)})
    assert caught.value.code_name == "OFFSET_METADATA_TOO_LARGE"
    assert offsets(consumer.committed(ORDERS_0)) == {ORDERS_0: 1}


def test_commit_async_tells_its_callback(story: Story) -> None:
    story.write("orders", 0, b"a", b"b")
    consumer = story.log.consumer("orders", **BY_HAND)
    consumer.poll(LIMIT_MS, max_records=1)
    told: list[Any] = []
    consumer.commit_async(callback=lambda *what: told.append(what))
    ((committed, error),) = told
    assert error is None
    assert committed[ORDERS_0].offset == 1
    fence(story, consumer)
    consumer.commit_async({ORDERS_0: 2}, callback=lambda *what: told.append(what))
    assert isinstance(told[1][1], MemberFencedError)
    consumer.poll(0)
    with pytest.raises(ConfigError, match="callback=5"):
        consumer.commit_async({ORDERS_0: 2}, callback=5)
    assert offsets(consumer.committed(ORDERS_0)) == {ORDERS_0: 1}


def test_commits_may_wait_for_the_disk(tmp_path: Any, open_log: Callable[..., Any]) -> None:
    with open_log(str(tmp_path / "log")) as log:
        log.create_topic("orders", 2)
        Story(log).write("orders", 0, b"a")
        consumer = log.consumer("orders", **BY_HAND, commit_acks="all")
        consumer.poll(LIMIT_MS)
        consumer.commit()
        offsets_log = log.engine().groups.coordinator_of("billing").log
        assert offsets_log.synced_end == offsets_log.log_end
        consumer.close()


def test_where_a_group_never_was_the_setting_says_where_to_begin(story: Story) -> None:
    story.write("orders", 0, b"before")
    latest = story.log.consumer("orders", group_id="l", enable_auto_commit=False)
    story.write("orders", 0, b"after")
    assert values(latest.poll(LIMIT_MS)) == [b"after"]
    nowhere = story.log.consumer("orders", group_id="n", auto_offset_reset="none")
    with pytest.raises(OffsetOutOfRangeError):
        nowhere.poll(0)


def test_a_commit_behind_the_end_is_not_papered_over(story: Story) -> None:
    consumer = story.log.consumer("orders", **BY_HAND)
    consumer.commit({ORDERS_0: 5})
    consumer.close()
    again = story.log.consumer("orders", **BY_HAND)
    with pytest.raises(LogTruncatedError, match=r"orders-0: position 5 .*reset_offsets\(\)"):
        again.poll(0)
    again.close()
    story.log.admin.reset_offsets("billing", to="latest")
    story.write("orders", 0, b"a")
    assert values(story.log.consumer("orders", **BY_HAND).poll(LIMIT_MS)) == [b"a"]


def test_without_a_group_there_is_nothing_to_commit(story: Story) -> None:
    consumer = story.log.consumer("orders")
    for call in (consumer.commit, consumer.commit_async, consumer.committed):
        with pytest.raises(UsageError, match="group_id"):
            call()
    with pytest.raises(ConfigError, match="group_id"):
        consumer.subscribe("orders", on_assign=print)
    for setting in ({"enable_auto_commit": True}, {"group_instance_id": "i"}, {"on_lost": print}):
        with pytest.raises(ConfigError, match="group_id"):
            story.log.consumer("orders", **setting)


def test_partitions_that_are_assigned_by_hand_are_no_members_matter(story: Story) -> None:
    story.write("orders", 0, b"a", b"b")
    consumer = story.log.consumer(**BY_HAND)
    consumer.assign([ORDERS_0])
    assert values(consumer.poll(LIMIT_MS, max_records=1)) == [b"a"]
    consumer.commit()
    again = story.log.consumer(**BY_HAND)
    again.assign([ORDERS_0])
    assert values(again.poll(LIMIT_MS)) == [b"b"]
    again.commit()
    member = story.log.consumer("orders", **BY_HAND)
    assert member.position(ORDERS_0) == 2
    with pytest.raises(GroupError):  # the group has a member now
        consumer.commit()


# ---------------------------------------------------------------- committing by itself


def test_positions_are_committed_by_themselves(story: Story) -> None:
    story.write("orders", 0, b"a", b"b", b"c")
    consumer = story.log.consumer("orders", **GROUP, auto_commit_interval_ms=0)
    consumer.poll(LIMIT_MS, max_records=2)
    assert offsets(consumer.committed(ORDERS_0)) == {ORDERS_0: 0}  # they are being worked on
    consumer.poll(LIMIT_MS, max_records=1)
    assert offsets(consumer.committed(ORDERS_0)) == {ORDERS_0: 2}
    consumer.close()
    again = story.log.consumer("orders", **GROUP)
    assert again.position(ORDERS_0) == 3


def test_leaving_the_block_by_an_error_does_not_commit_what_was_in_work(story: Story) -> None:
    story.write("orders", 0, *(b"%d" % n for n in range(10)))

    def fail_at(value: bytes) -> None:
        with story.log.consumer("orders", **GROUP) as consumer:
            for record in consumer:
                if record.value == value:
                    raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_at(b"4")
    with story.log.consumer("orders", **GROUP) as consumer:
        assert consumer.position(ORDERS_0) == 4
        assert values(consumer.poll(LIMIT_MS, max_records=2)) == [b"4", b"5"]
        assert values(consumer.poll(LIMIT_MS, max_records=2)) == [b"6", b"7"]

    def fail_with_a_list() -> None:
        with story.log.consumer("orders", **GROUP) as consumer:
            consumer.poll(LIMIT_MS, max_records=1)
            consumer.poll(LIMIT_MS, max_records=1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_with_a_list()
    with story.log.consumer("orders", **GROUP) as consumer:
        assert consumer.position(ORDERS_0) == 9
        for record in consumer:
            assert record.value == b"9"
            break
    with story.log.consumer("orders", **GROUP) as consumer:
        assert consumer.position(ORDERS_0) == 10


def test_an_iteration_polls_every_so_many_records(story: Story) -> None:
    story.write("orders", 0, *(b"%d" % n for n in range(10)))
    consumer = story.log.consumer(
        "orders", **GROUP, max_poll_records=3, auto_commit_interval_ms=0, consumer_timeout_ms=0
    )
    for record in consumer:
        committed = offsets(consumer.committed(ORDERS_0))[ORDERS_0]
        assert committed == record.offset - record.offset % 3
    assert offsets(consumer.committed(ORDERS_0)) == {ORDERS_0: 10}
