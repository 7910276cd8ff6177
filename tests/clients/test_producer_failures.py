"""When things go wrong: an error is in a future or in `flush()`, never lost, never told twice."""

from __future__ import annotations

import dis
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from streamlog.errors import (
    BufferExhaustedError,
    DeliveryError,
    DiskFullError,
    ForkedHandleError,
    PartitionPoisonedError,
    RecordTooLargeError,
    SendError,
    UsageError,
)
from tests.clients.producer_rig import KERNELS_AND_SKINS, Rig, open_rig
from tests.clients.skins import Interrupt, LoopThread


@pytest.fixture(params=KERNELS_AND_SKINS)
def rig(request: pytest.FixtureRequest, tmp_path: Path, loop_thread: LoopThread) -> Iterator[Rig]:
    kernel, skin = request.param.split()
    with open_rig(str(tmp_path / "log"), kernel, loop_thread if skin == "async" else None) as rig:
        rig.engine.create_topic("one")
        rig.engine.create_topic("six", 6)
        yield rig


class FailingLog:
    """Stands between a producer and a real log: raises what it is told to, before or after."""

    def __init__(self, rig: Rig, monkeypatch: pytest.MonkeyPatch, topic: str = "one") -> None:
        log = rig.engine.partition(topic, 0)
        self.before: list[BaseException | None] = []
        self.after: list[BaseException | None] = []
        self._append = log.append
        self.sync_error: Exception | None = None
        self._sync = log.sync
        monkeypatch.setattr(log, "append", self.append)
        monkeypatch.setattr(log, "sync", self.sync)

    def append(self, *arguments: Any, **keywords: Any) -> Any:
        self._raise_next(self.before)
        outcome = self._append(*arguments, **keywords)
        self._raise_next(self.after)
        return outcome

    def sync(self, end: int) -> int:
        if self.sync_error is not None:
            raise self.sync_error
        return self._sync(end)

    @staticmethod
    def _raise_next(errors: list[BaseException | None]) -> None:
        error = errors.pop(0) if errors else None
        if error is not None:
            raise error


@pytest.fixture
def failing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> FailingLog:
    return FailingLog(rig, monkeypatch)


def test_a_failure_is_raised_by_the_future_and_then_not_by_flush(
    rig: Rig, failing: FailingLog
) -> None:
    producer = rig.producer()
    failing.before = [DiskFullError("full")]
    with pytest.raises(DiskFullError):
        producer.send("one", b"v").result()
    producer.flush()
    assert producer.send("one", b"w").result().offset == 0


def test_a_failure_nobody_looked_at_is_raised_by_flush_once(rig: Rig, failing: FailingLog) -> None:
    producer = rig.producer(linger_ms=1000)
    failing.before = [DiskFullError("full")]
    futures = [producer.send("one", b"v") for _ in range(3)]
    with pytest.raises(DeliveryError, match=r"3 records were not delivered.*full") as raised:
        producer.flush()
    assert raised.value.outcome == "not_written"
    assert [type(error) for error in raised.value.failures] == [DiskFullError]
    producer.flush()
    assert isinstance(futures[0].exception(), DiskFullError)
    producer.close()


def test_looking_at_one_future_of_a_batch_does_not_hide_the_others(
    rig: Rig, failing: FailingLog
) -> None:
    producer = rig.producer(linger_ms=1000)
    failing.before = [DiskFullError("full")]
    futures = [producer.send("one", b"v") for _ in range(3)]
    assert isinstance(futures[0].exception(), DiskFullError)
    assert isinstance(futures[0].exception(), DiskFullError)
    with pytest.raises(DeliveryError, match="2 records"):
        producer.close()


@pytest.mark.parametrize("leave", ["close", "exit"])
def test_acks_0_failures_surface_in_flush_and_close(
    rig: Rig, failing: FailingLog, leave: str
) -> None:
    producer = rig.producer(acks=0)
    failing.before = [DiskFullError("full"), DiskFullError("full")]
    future = producer.send("one", b"v")
    with pytest.raises(DeliveryError):
        producer.flush()
    assert future.exception() is None
    producer.send("one", b"v")
    with pytest.raises(DeliveryError):
        producer.close() if leave == "close" else producer.__exit__(None, None, None)


def test_a_failed_sync_fails_everything_that_waited_for_it(rig: Rig, failing: FailingLog) -> None:
    producer = rig.producer(acks="all", batch_size=100)
    failing.sync_error = PartitionPoisonedError("EIO", outcome="unknown")
    futures = [producer.send("one", b"x" * 30) for _ in range(6)]
    with pytest.raises(PartitionPoisonedError) as raised:
        futures[0].result()
    assert raised.value.outcome == "unknown"
    with pytest.raises(DeliveryError) as rest:
        producer.flush()
    assert rest.value.outcome == "unknown"


def test_a_partly_failed_send_many_says_what_became_of_each_batch(
    rig: Rig, failing: FailingLog
) -> None:
    producer = rig.producer()
    failing.before = [None, DiskFullError("full")]
    future = producer.send_many("one", [b"x" * 200] * 2000)
    with pytest.raises(DeliveryError) as raised:
        future.result()
    results = raised.value.results
    assert [type(result) for result in results if isinstance(result, Exception)] == [DiskFullError]
    written = [result for result in results if not isinstance(result, Exception)]
    assert sum(place.count for place in written) == len(rig.values("one"))
    assert future.exception().failures == raised.value.failures
    producer.flush()


@pytest.mark.parametrize("place", ["before", "after"])
def test_an_interrupted_append_is_neither_lost_nor_doubled(
    rig: Rig, failing: FailingLog, place: str
) -> None:
    producer = rig.producer(linger_ms=1000)
    setattr(failing, place, [Interrupt()])
    futures = [producer.send("one", b"%d" % n) for n in range(3)]
    with pytest.raises(Interrupt):
        producer.flush()
    producer.send("one", b"3")
    producer.flush()
    assert rig.values("one") == [b"0", b"1", b"2", b"3"]
    assert [future.result().offset for future in futures] == [0, 1, 2]
    assert producer.memory_used == 0


def test_an_interrupt_at_any_place_leaves_records_written_once_and_in_order(
    tmp_path: Path,
) -> None:
    """The pure kernel: every place of ours where Python looks for signals, one run each."""
    with open_rig(str(tmp_path / "log"), "pure") as rig:
        interrupted = 0
        for strike in range(2000):
            topic = f"t{strike}"
            rig.engine.create_topic(topic)
            producer = rig.producer(linger_ms=1000, acks="all")
            sent = [b"first"]
            producer.send(topic, b"first").result()

            def work(
                producer: Any = producer, topic: str = topic, sent: list[bytes] = sent
            ) -> None:
                for value in (b"second", b"third"):
                    producer.send(topic, value)
                    sent.append(value)
                producer.flush()

            struck = _interrupt_at(strike, work)
            interrupted += struck
            producer.send(topic, b"last").result()
            producer.flush()
            values = rig.values(topic)
            assert values[: len(sent)] == sent, strike
            assert values[-1] == b"last", strike
            assert len(set(values)) == len(values) <= 4, strike
            assert producer.memory_used == 0, strike
            producer.close()
            if not struck:
                break
        assert interrupted > 50


def _interrupt_at(strike: int, work: Callable[[], None]) -> bool:
    """Run `work`; raise KeyboardInterrupt at the `strike`-th place of our own modules."""
    left = strike

    def trace(frame: Any, event: str, argument: object) -> Any:
        nonlocal left
        del argument
        if "streamlog/clients" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and frame.f_lasti in _signal_places(frame.f_code):
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


@cache
def _signal_places(code: CodeType) -> frozenset[int]:
    """Where CPython looks for signals: behind a call, at a function's start, at a loop's end.

    Not between a lock's `__enter__` or `__exit__` and its neighbours: `with` is safe there.
    """
    instructions = list(dis.get_instructions(code))
    behind_a_call = {
        following.offset
        for instruction, following in pairwise(instructions)
        if instruction.opname.startswith("CALL") or instruction.opname == "RESUME"
    }
    loops = {found.offset for found in instructions if found.opname.startswith("JUMP_BACKWARD")}
    return frozenset(behind_a_call | loops)


def test_an_idempotent_producer_numbers_its_batches(rig: Rig) -> None:
    producer = rig.producer(acks="all", enable_idempotence=True)
    producer.send("one", b"a").result()
    producer.send_many("one", [b"b", b"c"]).result()
    producer.send("one", b"d").result()
    batches = rig.batches("one")
    assert len({batch.producer_id for batch in batches}) == 1
    assert batches[0].producer_id >= 0
    assert [(batch.producer_epoch, batch.base_sequence) for batch in batches] == [
        (0, 0),
        (0, 1),
        (0, 3),
    ]


def test_an_idempotent_producer_goes_on_after_a_refusal_and_after_an_unknown_outcome(
    rig: Rig, failing: FailingLog
) -> None:
    producer = rig.producer(acks="all", enable_idempotence=True)
    producer.send("one", b"a").result()
    failing.before = [DiskFullError("full"), SendError("who knows", outcome="unknown")]
    assert producer.send("one", b"refused").exception() is not None
    assert producer.send("one", b"unknown").exception() is not None
    producer.send("one", b"b").result()
    assert [(b.producer_epoch, b.base_sequence) for b in rig.batches("one")] == [(0, 0), (1, 0)]


def test_what_waited_longer_than_delivery_timeout_is_given_up(
    rig: Rig, failing: FailingLog
) -> None:
    producer = rig.producer(linger_ms=10, delivery_timeout_ms=100)
    failing.before = [Interrupt()]
    future = producer.send("one", b"v")
    with pytest.raises(Interrupt):
        producer.flush()
    rig.clock.advance(101)
    assert "delivery_timeout_ms=100" in str(future.exception())
    assert rig.values("one") == []


def test_full_buffers_are_written_before_more_is_taken(rig: Rig) -> None:
    producer = rig.producer(buffer_memory=10_000, batch_size=4000, linger_ms=60_000)
    for number in range(60):
        producer.send("six", b"x" * 900, partition=number % 6)
        assert producer.memory_used <= 10_000
    assert sum(len(rig.values("six", partition)) for partition in range(6)) > 40
    with pytest.raises(RecordTooLargeError, match="buffer_memory"):
        producer.send("six", b"x" * 11_000)


def test_no_room_because_others_write_is_buffer_exhausted_after_max_block_ms(rig: Rig) -> None:
    producer = rig.producer(buffer_memory=4000, batch_size=4000, linger_ms=60_000, max_block_ms=0)
    producer.send("six", b"x" * 3000, partition=0)
    queue = producer._targets["six"].queues[0]
    refused: list[BaseException] = []

    def send() -> None:
        try:
            producer.send("six", b"x" * 3000, partition=1)
        except BufferExhaustedError as error:
            refused.append(error)

    # Another thread's write has the batch: it cannot be written here, and its room is taken.
    queue.seal()
    producer.pending.pop(queue)
    thread = threading.Thread(target=send)
    thread.start()
    thread.join(10)
    assert [error.outcome for error in refused] == ["not_written"]
    producer.pending[queue] = None
    producer.flush()
    assert producer.memory_used == 0


def test_result_with_a_timeout_does_not_wait_longer_for_another_thread(rig: Rig) -> None:
    producer = rig.producer(linger_ms=1000)
    future = producer.send("one", b"v")
    lock = producer._targets["one"].queues[0].lock
    lock.acquire()
    with pytest.raises(TimeoutError):
        future.result(timeout=0.01)
    lock.release()
    assert future.result(timeout=10).offset == 0


def test_waiting_for_what_this_very_thread_writes_is_an_error_not_a_deadlock(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = rig.producer(linger_ms=1000)
    future = producer.send("one", b"v")
    log = rig.engine.partition("one", 0)
    real_append, seen = log.append, []

    def append(*arguments: Any, **keywords: Any) -> Any:
        with pytest.raises(UsageError, match="cannot wait for itself") as raised:
            getattr(future, "future", future).result()
        seen.append(raised.value)
        return real_append(*arguments, **keywords)

    monkeypatch.setattr(log, "append", append)
    assert future.result().offset == 0
    assert len(seen) == 1


def test_close_with_a_timeout_gives_up_what_it_cannot_write(rig: Rig) -> None:
    producer = rig.producer(linger_ms=60_000)
    future = producer.send("one", b"v")
    with pytest.raises(DeliveryError, match="closed before this was written"):
        producer.close(timeout=0)
    assert future.done()
    assert rig.values("one") == []
    assert producer.memory_used == 0


def test_handles_of_the_parent_refuse_in_a_forked_child(rig: Rig) -> None:
    producer = rig.producer(linger_ms=60_000)
    future = producer.send("one", b"parent")
    child = os.fork()
    if child == 0:
        refused = 0
        for call in (
            future.result,
            lambda: producer.send("one", b"child"),
            lambda: producer.send_many("one", [b"child"]),
            producer.flush,
        ):
            try:
                call()
            except ForkedHandleError:
                refused += 1
        producer.close()
        os._exit(refused)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 4
    assert rig.values("one") == []
    assert future.result().offset == 0


PROGRAM = """
import os, sys
from streamlog.broker.engine import Engine
from streamlog.clients.producer import Producer
from streamlog.config import ProducerConfig

engine = Engine.open(sys.argv[1])
engine.create_topic("one")
producer = Producer(engine, ProducerConfig.from_settings({"linger_ms": 3_600_000,
    "delivery_timeout_ms": 7_200_000}))
producer.send("one", b"buffered")
if sys.argv[2] == "fork" and os.fork() == 0:
    sys.exit(0)
if sys.argv[2] == "fork":
    os.wait()
if sys.argv[2] == "kill":
    os._exit(0)
"""


@pytest.mark.parametrize("kernel", ["pure", "compiled"])
@pytest.mark.parametrize(("end", "expected"), [("exit", 1), ("fork", 1), ("kill", 0)])
def test_the_interpreters_exit_flushes_once(
    tmp_path: Path, kernel: str, end: str, expected: int
) -> None:
    directory = str(tmp_path / "log")
    environment = {**os.environ, "STREAMLOG_KERNEL": kernel}
    if kernel == "compiled":
        pytest.importorskip("streamlog.clients._accumulator", exc_type=ImportError)
    subprocess.run(
        [sys.executable, "-c", PROGRAM, directory, end], env=environment, check=True, timeout=60
    )
    with open_rig(directory, kernel) as rig:
        assert rig.values("one") == [b"buffered"] * expected
