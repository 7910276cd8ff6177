"""Several processes on one directory, each brought to an exact place before another acts."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import streamlog
from streamlog.errors import DirectoryInUseError, LockTimeoutError
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.verification import verify_directory
from tests.multiprocess.nursery import Nursery


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A closed log directory with the topic "flights" of one partition."""
    path = str(tmp_path / "log")
    with streamlog.open(path) as log:
        log.create_topic("flights", partitions=1, internal_segment_bytes=4096)
    return path


def values(log: streamlog.StreamLog) -> list[str]:
    return [bytes(record.value).decode() for record in log.read("flights")]


def leave_unclean(nursery: Nursery, path: str, count: int) -> None:
    """A directory whose only process was killed."""
    child = nursery.start("write_and_be_killed", path=path, count=count)
    assert child.answer() == "written"
    child.kill()


class TestOpeningAndClosing:
    def test_processes_that_come_and_go_while_others_write(
        self, nursery: Nursery, path: str
    ) -> None:
        children = [nursery.start("open_and_close", path=path, times=15) for _ in range(4)]
        found = [child.answer() for child in children]
        assert [child.wait() for child in children] == [0] * 4
        assert os.path.exists(f"{path}/.kafka_cleanshutdown")
        assert [str(each) for each in verify_directory(OS_FILESYSTEM, path)] == []
        with streamlog.open(path) as log:
            seen = values(log)
        for pid in found:
            own = [value for value in seen if value.startswith(f"{pid}/")]
            assert own == [f"{pid}/{number}" for number in range(15)]

    def test_of_several_that_open_at_once_one_recovers(
        self, nursery: Nursery, tmp_path: Path
    ) -> None:
        for attempt in range(5):
            path = str(tmp_path / str(attempt))
            leave_unclean(nursery, path, 500)
            children = [nursery.start("open_when_continued", path=path) for _ in range(4)]
            for child in children:
                assert child.answer() == "ready"
                child.wait_until_stopped()
            for child in children:
                child.signal(signal.SIGCONT)
            found = [child.answer() for child in children]
            assert [count for count, _ in found] == [500] * 4
            assert sum(recovered for _, recovered in found) == 1
            for child in children:
                assert child.answer() == "open"
                child.go_on()
                assert child.wait() == 0

    def test_who_comes_while_another_recovers_waits_for_it(
        self, nursery: Nursery, tmp_path: Path
    ) -> None:
        path = str(tmp_path / "log")
        leave_unclean(nursery, path, 3)
        recoverer = nursery.start("recover_slowly", path=path)
        assert recoverer.answer() == "recovering"
        recoverer.wait_until_stopped()
        hasty = nursery.start("open_or_fail", path=path, lock_timeout_ms=100)
        assert hasty.answer() == "LockTimeoutError"
        patient = nursery.start("open_or_fail", path=path, lock_timeout_ms=60_000)
        recoverer.signal(signal.SIGCONT)
        assert recoverer.answer() == "recovered"
        assert patient.answer() == ["0", "1", "2"]
        assert recoverer.wait() == patient.wait() == 0

    def test_who_recovers_is_replaced_when_it_dies(self, nursery: Nursery, tmp_path: Path) -> None:
        path = str(tmp_path / "log")
        leave_unclean(nursery, path, 3)
        recoverer = nursery.start("recover_slowly", path=path)
        assert recoverer.answer() == "recovering"
        recoverer.wait_until_stopped()
        waiting = nursery.start("open_or_fail", path=path, lock_timeout_ms=60_000)
        recoverer.kill()
        assert waiting.answer() == ["0", "1", "2"]


class TestLocks:
    def test_a_stopped_holder_of_a_partition_is_named_and_never_robbed(
        self, nursery: Nursery, path: str
    ) -> None:
        with streamlog.open(path, lock_timeout_ms=150) as log, log.producer(acks=1) as producer:
            holder = nursery.start("hold_partition", path=path)
            assert holder.answer() == "holding"
            holder.wait_until_stopped()
            with pytest.raises(LockTimeoutError) as caught:
                producer.send("flights", b"refused").result()
            assert caught.value.pid == holder.pid
            assert caught.value.outcome == "not_written"
            holder.signal(signal.SIGCONT)
            assert holder.answer() == "let go"
            producer.send("flights", b"accepted").result()
            assert values(log) == ["accepted"]
            assert holder.wait() == 0

    def test_a_holder_that_dies_frees_the_partition(self, nursery: Nursery, path: str) -> None:
        with streamlog.open(path) as log, log.producer(acks=1) as producer:
            holder = nursery.start("hold_partition", path=path)
            assert holder.answer() == "holding"
            holder.kill()
            assert producer.send("flights", b"accepted").result().offset == 0

    def test_a_broker_that_holds_the_directory_is_named(self, nursery: Nursery, path: str) -> None:
        broker = nursery.start("lock_like_a_broker", path=path)
        assert broker.answer() == "locked"
        for read_only in (False, True):
            with pytest.raises(DirectoryInUseError) as caught:
                streamlog.open(path, read_only=read_only)
            assert caught.value.pid == broker.pid
        broker.kill()
        streamlog.open(path).close()

    def test_a_broker_is_kept_out_while_we_are_in(self, nursery: Nursery, path: str) -> None:
        import fcntl

        with (
            streamlog.open(path),
            open(f"{path}/.lock", "r+b") as file,  # its lock is another kind: not ours by process
            pytest.raises(BlockingIOError),
        ):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class TestReading:
    def test_a_reader_in_another_process_wakes_up(self, nursery: Nursery, path: str) -> None:
        reader = nursery.start("tail", path=path)
        assert reader.answer() == "listening"
        with streamlog.open(path) as log, log.producer(acks=1, linger_ms=0) as producer:
            for value in ("one", "two", "end"):
                producer.send("flights", value.encode()).result()
                assert reader.answer() == value
        assert reader.wait() == 0

    def test_handles_on_a_topic_that_another_process_deletes_and_makes_again(
        self, nursery: Nursery, path: str
    ) -> None:
        child = nursery.start("keep_handles", path=path)
        assert child.answer() == "holding"
        child.wait_until_stopped()
        with streamlog.open(path) as log:
            log.delete_topic("flights")
            log.create_topic("flights", partitions=1)
            with log.producer(acks=1) as producer:
                producer.send("flights", b"first of the new topic").result()
            child.signal(signal.SIGCONT)
            found = child.answer()
            assert found["kept"] == ["old"]
            assert found["values"] == ["first of the new topic", "new"]
            assert found["offset"] == 1
            assert found["consumed"] in (["first of the new topic"], [], "UnknownTopicError")
            assert values(log) == found["values"]
        assert child.wait() == 0


class TestForking:
    def test_a_fork_reopens_the_log_and_refuses_its_parents_handles(
        self, nursery: Nursery, tmp_path: Path
    ) -> None:
        parent = nursery.start("fork_with_an_open_log", path=str(tmp_path / "log"))
        found = parent.answer()
        assert found == {
            "send": "ForkedHandleError",
            "flush": "ForkedHandleError",
            "poll": "ForkedHandleError",
            "result": "ForkedHandleError",
            "producer.close": "None",
            "own": "flights-0",
            "read": "['of the child']",
        }
        status, before, after = parent.answer()
        assert status == 0
        assert before == ["of the child"], "the child's exit flushed what is the parent's"
        assert after == ["of the child", "of the parent"]
        assert parent.wait() == 0


@pytest.mark.parametrize(
    ("partitions", "descriptors"),
    [(1000, 256), pytest.param(10_000, 1024, marks=pytest.mark.system)],
)
def test_many_partitions_with_few_descriptors(
    nursery: Nursery, memory_path: Path, partitions: int, descriptors: int
) -> None:
    child = nursery.start(
        "use_many_partitions",
        path=str(memory_path / "log"),
        partitions=partitions,
        descriptors=descriptors,
    )
    found = child.answer()
    assert found["seen"] == 2 * partitions
    assert found["open_files"] < descriptors * 3 // 4  # the pure kernel reads through them too
    idle_records, idle_cpu_s = found["idle"]
    assert (idle_records, idle_cpu_s < 0.05) == (0, True), found
    assert child.wait() == 0
