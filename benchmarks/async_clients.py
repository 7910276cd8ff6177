"""What do the clients for event loops cost, beside the same clients without one?

Produce and consume against their synchronous twins, in turn, in one process: 100-byte values into
four partitions (`acks=1`), one `send()` a record and ended by `flush()`, or `send_many()` of 10,000
at once; then read back by a loop over the consumer and by `poll()`. Clocks start when a record of
each partition was written, and before a consumer is made. What was written is read back and
counted, and the checksum of the values compared.

Then records that are awaited one by one (`await (await producer.send(...))`, `acks=1`): by one
task, and by a hundred on one loop. These share batches, since they are resumed together.

What is fair: asyncio's own loop, one thread; the asynchronous sides let the loop turn about every
millisecond, as they do for everybody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from rig.benchmark import WRITTEN, Options, Result, Row, ratio_row, run_benchmark
from rig.measuring import Contest, Run, hold_contest, repeat
from rig.ours import fill, found, new_log
from rig.values import make_values

import streamlog

_PARTITIONS = range(4)
_AT_ONCE = 10_000
_TASKS = 100
_TOPIC = "log"
_READER: dict[str, Any] = {"auto_offset_reset": "earliest", "consumer_timeout_ms": 0}

Send = Callable[[streamlog.Producer, Sequence[bytes]], None]
AsyncSend = Callable[[streamlog.AsyncProducer, Sequence[bytes]], Awaitable[None]]


def send(producer: streamlog.Producer, values: Sequence[bytes]) -> None:
    for partition in _PARTITIONS:
        for value in values:
            producer.send(_TOPIC, value, partition=partition)


async def send_async(producer: streamlog.AsyncProducer, values: Sequence[bytes]) -> None:
    for partition in _PARTITIONS:
        for value in values:
            await producer.send(_TOPIC, value, partition=partition)


def send_many(producer: streamlog.Producer, values: Sequence[bytes]) -> None:
    for partition in _PARTITIONS:
        for start in range(0, len(values), _AT_ONCE):
            producer.send_many(_TOPIC, values[start : start + _AT_ONCE], partition=partition)


async def send_many_async(producer: streamlog.AsyncProducer, values: Sequence[bytes]) -> None:
    for partition in _PARTITIONS:
        for start in range(0, len(values), _AT_ONCE):
            await producer.send_many(_TOPIC, values[start : start + _AT_ONCE], partition=partition)


def run_producer(options: Options, values: Sequence[bytes], produce: Send) -> Run:
    with new_log(options.scratch) as log:
        log.create_topic(_TOPIC, partitions=len(_PARTITIONS))
        with log.producer(acks=1) as producer:
            send(producer, values[:1])
            producer.flush()
            began = time.perf_counter()
            produce(producer, values)
            producer.flush()
            seconds = time.perf_counter() - began
        return Run(seconds, *found(log, [_TOPIC]))


def run_async_producer(options: Options, values: Sequence[bytes], produce: AsyncSend) -> Run:
    async def run(path: str) -> float:
        async with streamlog.open_async(path) as log, log.producer(acks=1) as producer:
            await send_async(producer, values[:1])
            await producer.flush()
            began = time.perf_counter()
            await produce(producer, values)
            await producer.flush()
            return time.perf_counter() - began

    with new_log(options.scratch) as log:
        log.create_topic(_TOPIC, partitions=len(_PARTITIONS))
        return Run(asyncio.run(run(log.path)), *found(log, [_TOPIC]))


def iterate(log: streamlog.StreamLog) -> int:
    count = 0
    with log.consumer(_TOPIC, **_READER) as consumer:
        for record in consumer:
            _, _, _ = record.offset, record.key, record.value
            count += 1
    return count


async def iterate_async(log: streamlog.AsyncStreamLog) -> int:
    count = 0
    async with log.consumer(_TOPIC, **_READER) as consumer:
        async for record in consumer:
            _, _, _ = record.offset, record.key, record.value
            count += 1
    return count


def poll(log: streamlog.StreamLog) -> int:
    count = 0
    with log.consumer(_TOPIC, **_READER) as consumer:
        while records := consumer.poll(timeout_ms=0):
            for record in records:
                _, _, _ = record.offset, record.key, record.value
            count += len(records)
    return count


async def poll_async(log: streamlog.AsyncStreamLog) -> int:
    count = 0
    async with log.consumer(_TOPIC, **_READER) as consumer:
        while records := await consumer.poll(timeout_ms=0):
            for record in records:
                _, _, _ = record.offset, record.key, record.value
            count += len(records)
    return count


def run_consumer(log: streamlog.StreamLog, consume: Callable[[streamlog.StreamLog], int]) -> Run:
    began = time.perf_counter()
    count = consume(log)
    return Run(time.perf_counter() - began, count, 0)


def run_async_consumer(
    path: str, consume: Callable[[streamlog.AsyncStreamLog], Awaitable[int]]
) -> Run:
    async def run() -> Run:
        async with streamlog.open_async(path) as log:
            began = time.perf_counter()
            count = await consume(log)
            return Run(time.perf_counter() - began, count, 0)

    return asyncio.run(run())


def awaited_rate(options: Options, values: Sequence[bytes], tasks: int) -> float:
    """Records a second, of which each is awaited before its task sends the next."""

    async def work(producer: streamlog.AsyncProducer, mine: Sequence[bytes]) -> None:
        for value in mine:
            await (await producer.send(_TOPIC, value))

    async def run(path: str) -> float:
        async with streamlog.open_async(path) as log, log.producer(acks=1) as producer:
            await work(producer, values[:1])
            began = time.perf_counter()
            await asyncio.gather(*(work(producer, values[task::tasks]) for task in range(tasks)))
            return time.perf_counter() - began

    with new_log(options.scratch) as log:
        log.create_topic(_TOPIC)
        seconds = asyncio.run(run(log.path))
        assert found(log, [_TOPIC])[0] == len(values) + 1
    return len(values) / seconds


def twin_row(contest: Contest, name: str, what: str, durability: str) -> Row:
    return ratio_row(
        f"{what}, {contest.rate(f'async {name}') / 1e6:.2f} M records/s",
        0.5,
        f"the synchronous `{name}()`" if name != "for" else "the synchronous `for`",
        contest.ratio(f"async {name}", name),
        contest.ratios(f"async {name}", name),
        durability,
    )


def awaited_row(options: Options, values: Sequence[bytes], tasks: int, target: int) -> Row:
    rate = repeat(lambda: awaited_rate(options, values, tasks), options.repetitions)
    return Row(
        f"awaited sends, `acks=1`, {tasks} task{'s' * (tasks > 1)}",
        f"{target:,} records/s",
        f"{rate:,.0f} records/s",
        rate >= target,
        WRITTEN,
    )


def measure(options: Options) -> list[Result]:
    values = make_values(options.pick(100_000, 5_000))
    producers = hold_contest(
        {
            "send": partial(run_producer, options, values, send),
            "async send": partial(run_async_producer, options, values, send_async),
            "send_many": partial(run_producer, options, values, send_many),
            "async send_many": partial(run_async_producer, options, values, send_many_async),
        },
        options.repetitions,
    )
    with new_log(options.scratch) as log:
        fill(log, _TOPIC, values, partitions=len(_PARTITIONS))
        consumers = hold_contest(
            {
                "for": partial(run_consumer, log, iterate),
                "async for": partial(run_async_consumer, log.path, iterate_async),
                "poll": partial(run_consumer, log, poll),
                "async poll": partial(run_async_consumer, log.path, poll_async),
            },
            options.repetitions,
        )
    return [
        twin_row(producers, "send_many", "`await send_many()`", WRITTEN),
        twin_row(producers, "send", "`await send()`", WRITTEN),
        twin_row(consumers, "poll", "`await poll()`", ""),
        twin_row(consumers, "for", "`async for` over a consumer", ""),
        awaited_row(options, values[: options.pick(50_000, 2_000)], 1, 20_000),
        awaited_row(options, values, _TASKS, 100_000),
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
