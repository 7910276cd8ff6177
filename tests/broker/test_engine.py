from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamlog.broker.engine import Engine
from streamlog.errors import (
    ClosedError,
    ConfigError,
    CorruptDirectoryError,
    InvalidTopicError,
    NotALogDirectoryError,
    TopicExistsError,
    UnknownSettingError,
    UnknownTopicError,
    UnsupportedFeatureError,
    UnsupportedFormatError,
)
from streamlog.storage import shared
from streamlog.storage.filesystem import Filesystem
from streamlog.storage.format_number import FORMAT
from tests.broker.conftest import OpenEngine, append, read


def test_what_was_appended_is_there_after_a_clean_close(open_engine: OpenEngine, path: str) -> None:
    engine = open_engine()
    engine.create_topic("orders", 2)
    append(engine.partition("orders", 0), b"a", b"b")
    append(engine.partition("orders", 0), b"c", acks=-1)
    engine.close()
    assert (Path(path) / ".kafka_cleanshutdown").exists()

    engine = open_engine()
    assert engine.report is not None
    assert engine.report.clean
    assert not engine.report.problems
    assert read(engine.partition("orders", 0)) == [(0, b"a"), (1, b"b"), (2, b"c")]
    assert engine.describe_partition("orders", 0).synced_end == 3
    assert not (Path(path) / ".kafka_cleanshutdown").exists()


def test_files_are_private_and_folders_appear_at_the_first_append(
    engine: Engine, path: str
) -> None:
    engine.create_topic("orders", 2)
    log = engine.partition("orders", 1)
    assert read(log) == []
    assert not os.path.exists(log.directory)
    append(log, b"x")
    assert os.stat(path).st_mode & 0o777 == 0o700
    assert os.stat(log.directory).st_mode & 0o777 == 0o700
    for folder, _, files in os.walk(path):
        for name in files:
            assert os.stat(os.path.join(folder, name)).st_mode & 0o777 == 0o600, name
    assert not os.path.exists(engine.partition("orders", 0).directory)


def test_topics_are_described_as_they_were_created(open_engine: OpenEngine) -> None:
    engine = open_engine()
    made = engine.create_topic("b", 3, {"cleanup_policy": "compact", "segment.bytes": 1 << 20})
    engine.create_topic("a")
    assert made.settings == {"cleanup.policy": "compact", "segment.bytes": "1048576"}
    assert made.partitions == 3
    assert list(engine.topics()) == ["a", "b"]
    engine.close()
    assert open_engine().topic("b") == made


def test_a_topic_that_is_not_there_is_refused_naming_the_nearest(engine: Engine) -> None:
    engine.create_topic("orders")
    with pytest.raises(UnknownTopicError, match="did you mean 'orders'") as caught:
        engine.partition("order", 0)
    assert caught.value.nearest == "orders"
    with pytest.raises(UnknownTopicError) as caught:
        engine.partition("orders", 1)
    assert caught.value.partition == 1


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "ü", "x" * 250, "../up", "a b", "nul\0"])
def test_names_outside_kafkas_grammar_are_refused(engine: Engine, name: str) -> None:
    with pytest.raises(InvalidTopicError):
        engine.create_topic(name)
    assert engine.topics() == {}


def test_taken_and_colliding_names_are_refused(engine: Engine) -> None:
    engine.create_topic("a.b")
    for name in ("a.b", "a_b", "__cluster_metadata"):
        with pytest.raises(TopicExistsError):
            engine.create_topic(name)


def test_settings_and_counts_are_checked_before_anything_is_written(engine: Engine) -> None:
    with pytest.raises(UnknownSettingError, match="segment_bytes"):
        engine.create_topic("a", 1, {"segment_byte": 1})
    for partitions in (0, -1, True, "3", 1_000_000):
        with pytest.raises(ConfigError):
            engine.create_topic("a", partitions)  # type: ignore[arg-type]
    assert engine.topics() == {}


def test_partitions_grow_and_never_shrink(engine: Engine) -> None:
    engine.create_topic("a", 2)
    append(engine.partition("a", 1), b"x")
    assert engine.create_partitions("a", 4).partitions == 4
    assert read(engine.partition("a", 1)) == [(0, b"x")]
    append(engine.partition("a", 3), b"y")
    with pytest.raises(ConfigError, match="only grow"):
        engine.create_partitions("a", 4)


def test_a_deleted_topic_is_gone_and_its_handles_say_so(open_engine: OpenEngine, path: str) -> None:
    engine = open_engine()
    engine.create_topic("a")
    log = engine.partition("a", 0)
    append(log, b"old")
    held = log.fetch(0, 1 << 16).view
    engine.delete_topic("a")
    assert b"old" in bytes(held)
    with pytest.raises(UnknownTopicError, match="deleted"):
        append(log, b"late")
    with pytest.raises(UnknownTopicError):
        engine.partition("a", 0)
    assert not [name for name in os.listdir(path) if name.startswith("a-")]

    first = engine.create_topic("a").topic_id
    append(engine.partition("a", 0), b"new")
    assert read(engine.partition("a", 0)) == [(0, b"new")]
    with pytest.raises(UnknownTopicError):
        append(log, b"late")
    engine.close()
    engine = open_engine()
    assert engine.topic("a").topic_id == first
    assert read(engine.partition("a", 0)) == [(0, b"new")]


def test_a_second_open_in_one_process_shares_the_first(open_engine: OpenEngine, path: str) -> None:
    one = open_engine()
    os.symlink(path, path + "-link")
    two = open_engine(path=path + "-link")
    assert one is two
    one.close()
    two.create_topic("a")
    two.close()
    with pytest.raises(ClosedError):
        two.create_topic("b")


def test_a_log_of_a_closed_engine_writes_nothing(open_engine: OpenEngine) -> None:
    engine = open_engine()
    engine.create_topic("a")
    log = engine.partition("a", 0)
    append(log, b"x")
    engine.close()
    with pytest.raises(ClosedError):
        append(log, b"y")
    assert read(open_engine().partition("a", 0)) == [(0, b"x")]


def test_a_directory_of_something_else_is_left_alone(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    other = tmp_path / "home"
    other.mkdir()
    (other / "thesis.txt").write_text("x")
    with pytest.raises(NotALogDirectoryError, match=r"thesis\.txt"):
        open_engine(path=str(other))
    assert os.listdir(other) == ["thesis.txt"]
    with pytest.raises(NotALogDirectoryError, match="not a directory"):
        open_engine(path=str(other / "thesis.txt"))
    with pytest.raises(NotALogDirectoryError, match="create=False"):
        open_engine(path=str(tmp_path / "absent"), create=False)
    assert not (tmp_path / "absent").exists()


def test_a_newer_format_is_refused(open_engine: OpenEngine, path: str) -> None:
    open_engine().close()
    (Path(path) / "streamlog.properties").write_text(f"format={FORMAT + 1}\n")
    with pytest.raises(UnsupportedFormatError) as caught:
        open_engine()
    assert (caught.value.found, caught.value.known) == (FORMAT + 1, FORMAT)


def test_a_brokers_identity_is_kept(open_engine: OpenEngine, path: str) -> None:
    os.makedirs(path)
    identity = "version=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\nnode.id=7\n"
    (Path(path) / "meta.properties").write_text(identity)
    engine = open_engine()
    engine.create_topic("a")
    partition = engine.metadata.image.topics["a"].partitions[0]
    kept = (Path(path) / "meta.properties").read_text()
    assert "cluster.id=MkU3OEVBNTcwNTJENDM2Qg" in kept
    assert "node.id=7" in kept
    assert "directory.id=" in kept
    assert (partition.leader, partition.replicas) == (7, (7,))


def test_partitions_without_an_identity_or_metadata_are_refused_untouched(
    open_engine: OpenEngine, path: str
) -> None:
    engine = open_engine()
    engine.create_topic("a")
    append(engine.partition("a", 0), b"x")
    engine.close()
    meta = Path(path) / "meta.properties"
    kept = meta.read_bytes()
    meta.unlink()
    with pytest.raises(CorruptDirectoryError, match=r"meta\.properties"):
        open_engine()
    meta.write_bytes(kept)
    metadata = Path(path) / "__cluster_metadata-0"
    metadata.rename(Path(path).parent / "aside")
    with pytest.raises(CorruptDirectoryError, match="metadata log"):
        open_engine()
    assert (Path(path) / "a-0").exists()
    for name in os.listdir(path):
        if name.startswith("__cluster"):
            os.rmdir(Path(path) / name)
    (Path(path).parent / "aside").rename(metadata)
    assert read(open_engine().partition("a", 0)) == [(0, b"x")]


def test_a_missing_folder_whose_records_were_on_the_disk_is_corruption(
    open_engine: OpenEngine, path: str
) -> None:
    import shutil

    engine = open_engine()
    engine.create_topic("a", 2)
    append(engine.partition("a", 0), b"x")
    append(engine.partition("a", 1), b"y")
    engine.close()
    shutil.rmtree(Path(path) / "a-0")
    engine = open_engine()
    with pytest.raises(CorruptDirectoryError, match="a-0"):
        engine.partition("a", 0)
    assert read(engine.partition("a", 1)) == [(0, b"y")]
    engine.delete_topic("a")
    assert engine.topics() == {}


def test_the_slots_of_another_file_are_not_believed(open_engine: OpenEngine, path: str) -> None:
    """A copied directory brings a copy of the shared file along, about other files."""
    import shutil

    engine = open_engine()
    engine.create_topic("a")
    append(engine.partition("a", 0), b"x")
    shutil.copytree(path, path + "-copy")
    append(engine.partition("a", 0), b"y")
    copy = open_engine(path=path + "-copy")
    assert read(copy.partition("a", 0)) == [(0, b"x")]
    assert copy.report is not None
    assert not copy.report.lost


def test_the_header_says_what_the_directory_is(open_engine: OpenEngine, path: str) -> None:
    def state() -> int:
        words = (Path(path) / "streamlog.shared").read_bytes()
        return int.from_bytes(words[shared.HEADER_STATE * 8 :][:8], "little")

    engine = open_engine()
    assert state() == shared.STATE_LIVE
    engine.close()
    assert state() == shared.STATE_CLOSED


def test_producer_ids_are_never_given_twice(open_engine: OpenEngine) -> None:
    engine = open_engine()
    ids = [engine.producer_ids.next_id() for _ in range(1001)]
    assert ids == list(range(1001))
    engine.close()
    assert open_engine().producer_ids.next_id() == 2000


def test_a_few_descriptors_serve_many_partitions(open_engine: OpenEngine) -> None:
    engine = open_engine(settings={"max_open_files": 16})
    engine.create_topic("a", 40)
    logs = [engine.partition("a", number) for number in range(40)]
    for turn in range(3):
        for log in logs:
            append(log, b"%d" % turn)
        assert sum(log.open_descriptors for log in engine.partitions.logs()) <= 16 + 3
    for log in logs:
        assert [value for _, value in read(log)] == [b"0", b"1", b"2"]


def test_a_new_directory_costs_few_syncs_up_to_its_first_record(path: str) -> None:
    class Counting(Filesystem):
        is_operating_system = False
        syncs = 0

        def kind(self, path: str) -> str:
            return "ext4"

        def fsync(self, descriptor: int) -> None:
            self.syncs += 1

        def fdatasync(self, descriptor: int) -> None:
            self.syncs += 1

        def sync_directory(self, path: str) -> None:
            self.syncs += 1

    disk = Counting()
    engine = Engine.open(path, filesystem=disk)
    engine.create_topic("a")
    append(engine.partition("a", 0), b"x")
    assert read(engine.partition("a", 0)) == [(0, b"x")]
    assert 0 < disk.syncs <= 12
    engine.close()


def test_a_network_file_system_is_refused_for_writing(path: str) -> None:
    class Network(Filesystem):
        def kind(self, path: str) -> str:
            return "nfs"

    with pytest.raises(UnsupportedFeatureError, match="nfs"):
        Engine.open(path, filesystem=Network())
    Engine.open(path).close()
    Engine.open(path, filesystem=Network(), read_only=True).close()


def test_on_tmpfs_nothing_is_called_synced(path: str) -> None:
    class Memory(Filesystem):
        def kind(self, path: str) -> str:
            return "tmpfs"

    engine = Engine.open(path, filesystem=Memory())
    assert [engine.durability(acks) for acks in (0, 1, -1)] == ["buffered", "written", "written"]
    engine.close()
