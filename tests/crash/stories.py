"""The stories that are cut: what users do with a log, each short and with syncs where they hurt."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.crash.world import World


def one_append(world: World) -> None:
    world.open()
    world.create("a")
    world.append()


def born_twice(world: World) -> None:
    """Who made the directory died before its name was on the disk."""
    world.die_before("open", "/log/.lock")
    world.open()
    world.create("a")
    world.append()


def appends(world: World) -> None:
    """Every level of acknowledgement, batches that straddle sectors, a sync in between."""
    world.open()
    world.create("a")
    world.append(records=1)
    world.append(records=3, acks=1)
    world.append(records=2, size=600, acks=0)
    world.sync()
    world.append(records=1, size=2000, acks=1)
    world.append(records=2)
    world.append(records=1, acks=1)


def several_batches(world: World) -> None:
    """Many batches in one write."""
    world.open()
    world.create("a")
    world.append(records=2, batches=3)
    world.append(records=1, batches=6, size=300, acks=1)
    world.append(records=2, batches=2)


def rolls(world: World) -> None:
    """Segments of a few batches; some are synced long after they were rolled."""
    world.open()
    world.create("a", internal_segment_bytes=1500, index_interval_bytes=0)
    for acks in (-1, 1, 1, -1, 1, 1, 1, 1, 1):
        world.append(acks=acks)
    world.sync()
    for acks in (1, 1, 1, -1):
        world.append(acks=acks)


def closes(world: World) -> None:
    """Closed with everything unsynced, opened again, closed again."""
    world.open()
    world.create("a", internal_segment_bytes=1500)
    for _ in range(4):
        world.append(acks=1)
    world.close()
    world.open()
    world.append(acks=1)
    world.close()
    world.open()
    world.close()


def two_topics(world: World) -> None:
    """The slots are used in another order than the topics were created in."""
    world.open()
    world.create("a", 2)
    world.create("b")
    for _ in range(3):
        world.append("b", records=3)
    world.append("a", 1)
    world.append("a", 0, acks=1)
    world.close()
    world.open()
    world.append("a", 0)
    world.append("b", acks=1)


def topics_come_and_go(world: World) -> None:
    world.open()
    world.create("a")
    world.append("a")
    world.create("b")
    world.append("b", acks=1)
    world.delete("a")
    world.create("a")
    world.append("a", records=1)
    world.delete("b")
    world.close()


def settings_change(world: World) -> None:
    """Sizes and codecs change under the appends, by this process and by another."""
    world.open()
    world.create("a", internal_segment_bytes=4000)
    world.append(acks=1)
    world.alter(internal_segment_bytes=1500, index_interval_bytes=0, flush_messages=9)
    for _ in range(3):
        world.append(acks=1)
    world.alter(compression_type="zstd", internal_segment_bytes=None)
    world.append()
    world.open()
    world.alter(flush_messages=None, compression_type=None, index_interval_bytes=100)
    world.append(acks=1)
    world.switch()
    world.append(acks=1)
    world.alter(internal_segment_bytes=1200, message_timestamp_type="LogAppendTime")
    world.append()
    world.close()
    world.append(acks=1)
    world.close()


def idempotent_producers(world: World) -> None:
    """Batches with sequence numbers, some sent twice; a snapshot at the close."""
    world.open()
    world.create("a", internal_segment_bytes=1500)
    world.append(idempotent=True)
    world.append(idempotent=True, acks=1)
    world.append(acks=1)
    world.append(idempotent=True, records=1, acks=1)
    world.close()
    world.open()
    world.append(idempotent=True)
    world.append(idempotent=True, batches=2, records=1, acks=1)


def broker_between(world: World) -> None:
    """A broker appended to the closed directory; nothing of that is in the slots, or synced."""
    world.open()
    world.create("a", internal_segment_bytes=4000)
    world.append()
    world.close()
    world.let_a_broker_append()
    world.append(acks=1)
    world.append()


def backups(world: World) -> None:
    """Backups that take each other's place, of a log that grows, by one process and another."""
    world.open()
    world.create("a", internal_segment_bytes=1500)
    world.append()
    world.append(acks=1, idempotent=True)
    world.backup()
    for _ in range(4):
        world.append(acks=1)
    world.create("b")
    world.append("b", acks=1)
    world.backup()
    world.open()
    world.append(acks=1)
    world.append(acks=1)
    world.backup()
    world.append(acks=1)
    world.close()
    world.close()


def unsynced_appends(world: World) -> None:
    """Batches of two sectors each: holes, and good batches behind them that must not return."""
    world.open()
    world.create("a")
    world.append(records=1, size=700)
    for _ in range(5):
        world.append(records=1, size=700, acks=1)


def two_processes(world: World) -> None:
    """A second process attaches; both append and close."""
    world.open()
    world.create("a", internal_segment_bytes=1500)
    world.append(acks=1)
    world.open()
    world.append(acks=1)
    world.switch()
    world.append()
    world.append(acks=1)
    world.switch()
    world.append(acks=1)
    world.close()
    world.append()
    world.append(acks=1)
    world.close()


def deaths(world: World) -> None:
    """Processes die, the machine goes on; what they wrote is still not synced."""
    world.open()
    world.create("a", internal_segment_bytes=1500)
    world.append(acks=1)
    world.die()
    world.append(acks=1)
    world.append(acks=1)
    world.die()
    world.append()
    world.append(acks=1)
    world.die()


def failed_syncs(world: World) -> None:
    """The disk refuses the very first sync, and a later one; each time it is recovered."""
    world.open()
    world.create("a", internal_segment_bytes=1500)
    world.append(acks=1)
    world.fail_to_sync()
    world.recover()
    world.append()
    for _ in range(3):
        world.append(acks=1)
    world.fail_to_sync()
    world.recover()
    world.append(acks=1)
    world.append()


def compaction(world: World) -> None:
    """Segments are exchanged for others, sealed ones alone; a second time over what is clean."""
    world.open()
    world.create("a", cleanup_policy="compact", internal_segment_bytes=1200, index_interval_bytes=0)
    world.append(idempotent=True)
    for _ in range(4):
        world.append(acks=1)
    world.alter(internal_segment_bytes=2500)
    world.compact()
    world.append(acks=1)
    world.append(idempotent=True, acks=1)
    world.close()
    world.open()
    world.forget_producers()
    world.append(acks=1)
    world.append(records=6, acks=1)
    world.compact()
    world.append(acks=1)


def compaction_and_retention(world: World) -> None:
    """Of a log whose oldest part goes, by one process; another one compacts the rest of it."""
    world.open()
    world.create(
        "a",
        cleanup_policy="compact,delete",
        internal_segment_bytes=1200,
        retention_bytes=1500,
    )
    for _ in range(5):
        world.append(acks=1)
    world.delete_records(3)
    world.compact()
    world.open()
    for _ in range(6):
        world.append(acks=1)
    world.apply_retention()
    world.switch()
    world.append(acks=1)
    world.compact()
    world.close()
    world.append(acks=1)
    world.alter(cleanup_policy="delete")
    world.append(acks=1)
    world.die()
    world.append(acks=1)


def poisoned_until_opened(world: World) -> None:
    """The disk refused, and then the processes died: who opens alone recovers it."""
    world.open()
    world.create("a", internal_segment_bytes=1500)
    world.append(acks=1)
    world.fail_to_sync()
    world.die()
    world.append(acks=1)
    world.append()
    for _ in range(3):
        world.append(acks=1)
    world.fail_to_sync()
    world.die()
    world.append()


def records_are_deleted(world: World) -> None:
    """Up to the middle of a segment, over several, and again; files go and must not come back."""
    world.open()
    world.create("a", internal_segment_bytes=1200)
    for _ in range(5):
        world.append(acks=1)
    world.append(idempotent=True)
    world.delete_records(3)
    world.append(acks=1)
    world.delete_records(9)
    world.close()
    world.open()
    world.forget_producers()
    for _ in range(3):
        world.append(acks=1)
    world.sync()
    world.delete_records(17)
    world.append(acks=1)


def retention(world: World) -> None:
    """The oldest segments go by size, synced or not, under a second process."""
    world.open()
    world.create("a", internal_segment_bytes=1200, retention_bytes=2500)
    for _ in range(8):
        world.append(acks=1)
    world.apply_retention()
    world.append()
    world.open()
    for _ in range(6):
        world.append(acks=1)
    world.apply_retention()
    world.switch()
    world.append(acks=1)
    world.close()
    world.close()


def more(world: World) -> None:
    """What is done after a crash, to be cut again: in a topic that survived, or a new one."""
    topics = world.engine.topics()
    if "a" not in topics:
        world.create("a", internal_segment_bytes=1500)
    world.append(records=1, size=700, acks=1)
    world.append(acks=1)
    world.append(records=1, idempotent=True)
    if "b" in topics:
        world.append("b", acks=1)
    world.append(records=1, size=700, acks=1)
    world.close()


STORIES = {
    story.__name__: story
    for story in (
        one_append,
        born_twice,
        appends,
        several_batches,
        rolls,
        closes,
        two_topics,
        topics_come_and_go,
        settings_change,
        idempotent_producers,
        broker_between,
        backups,
        unsynced_appends,
        two_processes,
        deaths,
        failed_syncs,
        poisoned_until_opened,
        records_are_deleted,
        retention,
        compaction,
        compaction_and_retention,
    )
}


def random_story(generator: random.Random) -> Callable[[World], None]:
    """A story of some twenty verbs, the same whenever it is told."""
    seed = generator.random()

    def story(world: World) -> None:
        draw = random.Random(seed)
        world.open()
        topics = {"a": 2}
        world.create("a", 2, internal_segment_bytes=2000)
        for _ in range(draw.randint(12, 25)):
            _random_step(world, draw, topics)

    return story


def _random_step(world: World, draw: random.Random, topics: dict[str, int]) -> None:
    step = draw.random()
    if step < 0.7 and topics:
        topic = draw.choice(sorted(topics))
        world.append(
            topic,
            draw.randrange(topics[topic]),
            records=draw.randint(1, 3),
            size=draw.randint(120, 400),
            acks=draw.choice((-1, 1, 1)),
            idempotent=draw.random() < 0.3,
        )
    elif step < 0.76:
        world.sync()
    elif step < 0.79:
        world.backup()
    elif step < 0.85:
        world.close()
        world.open()
        world.forget_producers()
    elif step < 0.9:
        world.die()
    elif step < 0.93 and topics:
        world.alter(
            draw.choice(sorted(topics)),
            internal_segment_bytes=draw.choice((None, 2100, 3000)),
            compression_type=draw.choice((None, "gzip")),
        )
    elif step < 0.96 and topics:
        topic = draw.choice(sorted(topics))
        world.delete(topic)
        del topics[topic]
    elif "c" not in topics:
        topics["c"] = draw.randint(1, 3)
        world.create("c", topics["c"], internal_segment_bytes=2000)
