"""Any log, cleaned again and again: held against Kafka's rules applied to lists."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from streamlog.storage.names import segment_name
from tests.record.cleaning_model import HORIZON, encode
from tests.storage.cleaning_world import (
    ABORT,
    COMMIT,
    NOW,
    CleaningWorld,
    indexes_of,
)

KEYS = st.sampled_from([None, b"", b"a", b"b", b"c"])
RECORDS = st.lists(
    st.tuples(KEYS, st.sampled_from([None, b"", b"value"]), st.integers(NOW - 9, NOW + 9)),
    min_size=1,
    max_size=3,
)
PRODUCERS = st.integers(1, 2)
KINDS = st.sampled_from([ABORT, COMMIT])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), RECORDS, st.integers(0, 4), st.booleans()),
        st.tuples(st.just("idempotent"), RECORDS, st.integers(11, 12)),
        st.tuples(st.just("produce"), PRODUCERS, RECORDS),
        st.tuples(st.just("end"), PRODUCERS, KINDS, st.booleans()),
        st.tuples(st.just("transact"), PRODUCERS, RECORDS, KINDS, st.booleans()),
        st.tuples(st.just("skip"), st.integers(1, 3)),
        st.tuples(st.just("roll")),
        st.tuples(st.just("clean"), st.sampled_from([1, 2, 1000]), st.integers(0, 3)),
    ),
    min_size=10,
    max_size=40,
)


class Story:
    """Steps taken on a world; after each pass the disk is held against the rules."""

    def __init__(self, segment_bytes: int) -> None:
        self.world = CleaningWorld(segment_bytes=str(segment_bytes), delete_retention_ms="10")
        self.now = NOW
        self.epochs: dict[int, int] = {}

    def append(self, records, codec, append_time):
        attributes = codec | (0x08 if append_time else 0)
        self.world.append(*records, attributes=attributes)

    def idempotent(self, records, producer):
        sequence = self.world.sequences.get((producer, 0), 0)
        self.world.sequences[producer, 0] = sequence + len(records)
        self.world.append(*records, producer_id=producer, producer_epoch=0, base_sequence=sequence)

    def produce(self, producer, records):
        self.world.produce(producer, self.epochs.get(producer, 0), *records)

    def end(self, producer, kind, bumps_epoch):
        """With or without KIP-890, by which the marker has the producer's next epoch."""
        epoch = self.epochs.get(producer, 0) + bumps_epoch
        self.epochs[producer] = epoch
        self.world.end(producer, epoch, kind)

    def transact(self, producer, records, kind, bumps_epoch):
        self.produce(producer, records)
        self.end(producer, kind, bumps_epoch)

    def skip(self, offsets):
        """A gap, as a broker's log has that was copied from a compacted one."""
        self.world.log_end += offsets

    def roll(self):
        if self.world.log_end > max(self.world.segments):
            self.world.roll()

    def clean(self, keys, later):
        world = self.world.write()
        self.now += later * 7
        expected, checkpoint = world.expected(self.now, keys=keys)
        aborted = world.expected_aborted(checkpoint)
        passed = world.checkpoint
        groups = world.run(self.now, keys=keys)
        assert world.log_bytes() == encode(expected)
        assert world.checkpoint == checkpoint
        assert not groups or checkpoint > (passed or 0), "no pass is in vain"
        if groups:
            assert world.read_aborted() == aborted
            world.adopt(expected, aborted)
        self.check_indexes(groups)

    def check_indexes(self, groups):
        world, files = self.world, self.world.files()
        for segment in (each for group in groups for each in group.segments):
            indexes = tuple(
                files[segment_name(segment.base_offset, suffix)]
                for suffix in (".index", ".timeindex")
            )
            own = world.segments[segment.base_offset]
            assert indexes == indexes_of(segment.base_offset, own, 100)
            assert segment.next_offset == (own[-1].last_offset + 1 if own else segment.base_offset)


@settings(max_examples=300)
@given(steps=STEPS, segment_bytes=st.sampled_from([1, 300, 100_000]))
def test_any_log_is_cleaned_as_kafka_would(steps, segment_bytes):
    story = Story(segment_bytes)
    for name, *arguments in steps:
        getattr(story, name)(*arguments)
    story.roll()
    story.clean(1000, 1)


@given(steps=STEPS, keys=st.integers(1, 3))
def test_many_passes_with_a_small_map_end_where_one_ends(steps, keys):
    small, large = Story(100_000), Story(100_000)
    for story in (small, large):
        for name, *arguments in steps:
            if name != "clean":
                getattr(story, name)(*arguments)
        story.roll()
    large.clean(1000, 0)
    while small.world.checkpoint != large.world.checkpoint:
        small.clean(keys, 0)
    assert records_of(small.world) == records_of(large.world)


def records_of(world):
    return [record for each in world.batches() if not each.is_control for record in each.records]


def test_horizons_are_in_the_story():
    """The story is worth something only if its tombstones get their time."""
    story = Story(100_000)
    story.append([(b"a", None, NOW)], 0, False)
    story.roll()
    story.clean(1000, 0)
    (left,) = (each for each in story.world.batches() if each.records)
    assert left.attributes & HORIZON
    assert left.horizon == NOW + 10
    assert story.world.checkpoint == 1
