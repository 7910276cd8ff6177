"""Two processes on one directory: attaching, waiting, dying, forking, and a broker in the way."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamlog.broker.engine import Engine
from streamlog.errors import (
    DirectoryInUseError,
    ForkedHandleError,
    LockTimeoutError,
    TopicExistsError,
)
from tests.broker.conftest import OpenEngine, append, read

ROOT = Path(__file__).parents[2]

# Opens the directory and obeys one line at a time; answers each with one line.
CHILD = """
import sys
from streamlog.broker.engine import Engine
from tests.broker.conftest import append, read
engine = Engine.open(sys.argv[1])
print("open", engine.report is not None, flush=True)
for line in sys.stdin:
    verb, *words = line.split()
    if verb == "create":
        engine.create_topic(words[0], int(words[1]))
        print("created", flush=True)
    elif verb == "append":
        out = append(engine.partition(words[0], int(words[1])), words[2].encode())
        print(out.base_offset, flush=True)
    elif verb == "read":
        print(read(engine.partition(words[0], int(words[1]))), flush=True)
    elif verb == "close":
        engine.close()
        print("closed", flush=True)
"""


# Java's FileChannel.tryLock is a POSIX lock of the whole file.
BROKER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


class Child:
    """Another process that has the directory open."""

    def __init__(self, path: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, path],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.recovered = self.answer() == "open True"

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def do(self, line: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def child(path: str) -> Iterator[Child]:
    one = Child(path)
    yield one
    one.kill()


def test_who_comes_second_attaches_and_both_see_everything(
    child: Child, open_engine: OpenEngine
) -> None:
    assert child.recovered
    engine = open_engine()
    assert engine.report is None, "only who is alone recovers"
    assert child.do("create a 1") == "created"
    assert engine.topic("a").partitions == 1
    assert child.do("append a 0 x") == "0"
    assert append(engine.partition("a", 0), b"y").base_offset == 1
    assert child.do("append a 0 z") == "2"
    assert read(engine.partition("a", 0)) == [(0, b"x"), (1, b"y"), (2, b"z")]
    engine.create_topic("b")
    assert child.do("append b 0 w") == "0"
    with pytest.raises(TopicExistsError):
        engine.create_topic("b")


def test_the_last_one_out_closes_the_directory_also_for_what_it_never_opened(
    child: Child, open_engine: OpenEngine, path: str
) -> None:
    engine = open_engine()
    child.do("create a 2")
    child.do("append a 1 x")
    clean = Path(path) / ".kafka_cleanshutdown"
    assert child.do("close") == "closed"
    assert not clean.exists()
    engine.close()
    assert clean.exists()
    engine = open_engine()
    assert engine.describe_partition("a", 1).synced_end == 1
    assert engine.report is not None
    assert engine.report.clean


def test_nothing_is_lost_when_a_process_is_killed(
    child: Child, open_engine: OpenEngine, path: str
) -> None:
    child.do("create a 1")
    child.do("append a 0 x")
    child.kill()
    engine = open_engine()
    assert engine.report is not None
    assert not engine.report.clean
    assert not engine.report.lost
    assert read(engine.partition("a", 0)) == [(0, b"x")]
    survivor = Child(path)
    try:
        assert not survivor.recovered
        engine.close()
        assert survivor.do("append a 0 y") == "1"
    finally:
        survivor.kill()


def test_who_waits_gets_in_when_the_recoverer_dies(child: Child, path: str) -> None:
    """The header of a directory whose recoverer died says `recovering`, and no lock is held."""
    child.do("create a 1")
    child.kill()
    with (Path(path) / "streamlog.shared").open("r+b") as file:
        file.seek(6 * 8)
        file.write((1).to_bytes(8, "little"))
    engine = Engine.open(path)
    assert "a" in engine.topics()
    engine.close()


def test_a_stopped_recoverer_is_waited_for_and_then_named(path: str) -> None:
    os.makedirs(path)
    descriptor = os.open(path + "/.lock", os.O_RDWR | os.O_CREAT)
    from streamlog.storage.filesystem import OS_FILESYSTEM

    assert OS_FILESYSTEM.lock(descriptor, 0, 1, exclusive=True)
    with pytest.raises(LockTimeoutError, match="no progress"):
        Engine.open(path, settings={"lock_timeout_ms": 50})
    os.close(descriptor)
    Engine.open(path).close()


def test_a_kafka_brokers_lock_is_respected_and_its_process_named(path: str) -> None:
    Engine.open(path).close()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            BROKER,
            path + "/.lock",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(DirectoryInUseError) as caught:
            Engine.open(path)
        assert caught.value.pid == holder.pid
    finally:
        holder.communicate(b"")


def test_an_open_directory_keeps_a_broker_out(open_engine: OpenEngine, path: str) -> None:
    open_engine()
    with (
        open(path + "/.lock", "r+b") as file,
        pytest.raises(BlockingIOError),
    ):
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_forked_child_refuses_its_parents_handles_and_frees_no_lock(
    open_engine: OpenEngine, path: str
) -> None:
    engine = open_engine()
    engine.create_topic("a")
    log = engine.partition("a", 0)
    append(log, b"x")
    pid = os.fork()
    if pid == 0:
        os._exit(_in_the_child(engine, path))
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert read(log) == [(0, b"x"), (1, b"of the child")]
    append(log, b"y")
    engine.close()
    engine = open_engine()
    assert engine.report is not None
    assert engine.report.clean
    assert read(engine.partition("a", 0))[2:] == [(2, b"y")]


def _in_the_child(engine: Engine, path: str) -> int:
    """0 when everything was as it should be; runs after a fork, so nothing may raise."""
    try:
        engine.create_topic("b")
    except ForkedHandleError:
        pass
    else:
        return 1
    try:
        append(engine.partitions.known()[-1], b"never")
    except ForkedHandleError:
        pass
    else:
        return 2
    own = Engine.open(path)
    if own is engine or own.report is not None:
        return 3
    append(own.partition("a", 0), b"of the child")
    own.close()
    return 0


def test_the_locks_of_a_killed_parent_are_free_although_its_child_lives(path: str) -> None:
    script = (
        "import os, sys, time\n"
        "from streamlog.broker.engine import Engine\n"
        "engine = Engine.open(sys.argv[1])\n"
        "engine.create_topic('a')\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    print(os.getpid(), flush=True)\n"
        "    sys.stdin.read()\n"
        "    os._exit(0)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, path],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    orphan = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    try:
        engine = Engine.open(path, settings={"lock_timeout_ms": 2000})
        assert engine.report is not None
        assert "a" in engine.topics()
        engine.close()
    finally:
        os.kill(orphan, signal.SIGKILL)
        parent.stdout.close()
        assert parent.stdin is not None
        parent.stdin.close()
