"""What does one record cost that somebody waits for, with `acks=1`?

Every `send().result()` makes a batch of one record. Its median time is compared with a limit, and
with that of a bare `os.pwrite` of the very same bytes, turn by turn; the append itself, without
producer and future, with the same. The system calls of two
programs, one of which sends 10,000 records more, are counted by strace; what remains after the
one `pwrite` a record is what streamlog adds. Left out are index entries, due every 4 KiB, and
futex calls, by which Python's threads hand each other the interpreter's lock: they come with time
(strace makes everything slow), not with records. The sending thread is traced.

What is fair: the time is that of the whole call as a user makes it, future and result included.
"""

from __future__ import annotations

import statistics
import time

from rig.bare import append_times, one_record_batch
from rig.benchmark import WRITTEN, Options, Result, Row, run_benchmark
from rig.measuring import Run, hold_contest, percentile
from rig.ours import found, new_log
from rig.tracing import MISSING, can_trace, count_calls
from rig.values import VALUE_BYTES, make_values

_PROGRAM = """
import sys, streamlog
with streamlog.open(sys.argv[1]) as log:
    log.create_topic("log")
    with log.producer(acks=1) as producer:
        for _ in range(int(sys.argv[2])):
            producer.send("log", bytes(100)).result()
"""


def send_times(options: Options, values: list[bytes]) -> list[float]:
    seconds = []
    clock = time.perf_counter
    with new_log(options.scratch) as log:
        log.create_topic("log")
        with log.producer(acks=1) as producer:
            send = producer.send
            for value in values:
                began = clock()
                send("log", value).result()
                seconds.append(clock() - began)
        assert found(log, ["log"])[0] == len(values)
    return seconds


def append_call_times(options: Options, batch: bytes, count: int) -> list[float]:
    """The engine's append alone: lock, condition, patch, `pwrite`, publish, unlock, ring."""
    seconds = []
    clock = time.perf_counter
    with new_log(options.scratch) as log:
        log.create_topic("log")
        partition = log.engine().partition("log", 0)
        buffer = bytearray(batch)
        for _ in range(count):
            began = clock()
            partition.append(buffer, now_ms=0)
            seconds.append(clock() - began)
        assert found(log, ["log"])[0] == count
    return seconds


def further_calls(options: Options) -> tuple[float, str]:
    """System calls a record beyond one `pwrite`, and what they are."""
    base, more = 1_000, options.pick(11_000, 2_000)
    few, many = (
        count_calls(
            _PROGRAM, str(options.scratch / f"traced-{count}"), str(count), all_threads=False
        )
        for count in (base, more)
    )
    # An index entry every 4 KiB of batches is a pwrite too.
    many["pwrite64"] = min(many["pwrite64"], few["pwrite64"] + more - base)
    each = {name: (many[name] - few[name]) / (more - base) for name in many if name != "futex"}
    names = ", ".join(f"{name} {calls:.2f}" for name, calls in each.items() if calls >= 0.01)
    return sum(each.values()) - 1, names


def measure(options: Options) -> list[Result]:
    values = make_values(options.pick(20_000, 1_000))
    batch = one_record_batch(options.scratch, bytes(VALUE_BYTES))
    samples: list[float] = []

    def ours() -> Run:
        seconds = send_times(options, values)
        samples.extend(seconds)
        return Run(statistics.median(seconds), 1, 0)

    def bare() -> Run:
        path = options.scratch / "bare"
        seconds = append_times(path, batch, len(values), synced=False)
        return Run(statistics.median(seconds), 1, 0)

    def append() -> Run:
        seconds = append_call_times(options, batch, len(values))
        return Run(statistics.median(seconds), 1, 0)

    contest = hold_contest({"ours": ours, "append": append, "bare": bare}, options.repetitions)
    send_us, append_us, bare_us = (1e6 / contest.rate(name) for name in ("ours", "append", "bare"))
    rows: list[Result] = [
        Row(
            "a synchronous `send()` of one record, waited for",
            "within 15 us",
            f"{send_us:.1f} us (p99 {percentile(samples, 0.99) * 1e6:.0f} us)",
            send_us <= 15,
            WRITTEN,
        ),
        Row(
            "one-record batches: the append's time over a bare `pwrite`",
            "at most 3 us",
            f"{append_us - bare_us:.1f} us ({append_us:.1f} and {bare_us:.1f} us)",
            append_us - bare_us <= 3,
            WRITTEN,
        ),
        Row(
            "the same with `send()`, its future and `result()`",
            "",
            f"{send_us - bare_us:.1f} us",
            None,
            WRITTEN,
        ),
    ]
    what = "one-record batches: system calls over a bare `pwrite`"
    if not can_trace():
        return [*rows, Row(what, "at most 2", MISSING, None, WRITTEN)]
    calls, names = further_calls(options)
    return [*rows, Row(what, "at most 2", f"{calls:.2f} ({names})", calls < 2.05, WRITTEN)]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
