"""What compaction costs a record in the kernel: filling the offset map, and cleaning batches.

100-byte values with keys of 12 bytes, no files. "few keys": 99 of 100 records go; "many keys":
nearly two thirds stay, and the map is far larger than the processor's caches. A window is 1 MiB or
one batch, as in a log's cleaning. Beside a busy Python thread, which the loops do without: each
window asks for the interpreter once or twice.
"""

from __future__ import annotations

import random
import struct
import threading
import time
from collections.abc import Callable
from statistics import median

from streamlog.record.cleaning_outcome import BatchDecision
from streamlog.record.kernel import KERNEL, OffsetMap, RecordBatch, clean_batches, encode_many

RECORDS = 1_000_000 if KERNEL == "compiled" else 20_000
VALUE = b"x" * 100
WINDOW = 1 << 20
MAP_BYTES = 128 << 20
NOW_MS = 1_700_000_000_000
REPETITIONS = 5


def decide(_: RecordBatch) -> BatchDecision:
    raise AssertionError("there are no transactions here")


def encoded(keys: int, batch_size: int, codec: int) -> memoryview:
    generator = random.Random(keys)
    chosen = [b"key-%08d" % generator.randrange(keys) for _ in range(RECORDS)]
    buffer, spans = encode_many(
        [VALUE] * RECORDS, chosen, None, NOW_MS, batch_size=batch_size, codec=codec
    )
    offset = 0
    for position, _, count in spans:
        struct.pack_into(">q", buffer, position, offset)
        offset += count
    return memoryview(buffer)


def each_window(log: memoryview, work: Callable[[memoryview], int]) -> None:
    position = 0
    while position < len(log):
        position += work(log[position : position + WINDOW + 65_536])


def fill(log: memoryview) -> OffsetMap:
    offset_map = OffsetMap(MAP_BYTES, bytes(16))
    each_window(log, lambda window: offset_map.add_batches(window, decide=decide).consumed)
    return offset_map


def clean(log: memoryview, offset_map: OffsetMap) -> int:
    kept = 0

    def work(window: memoryview) -> int:
        nonlocal kept
        outcome = clean_batches(
            window, offset_map, decide=decide, now_ms=NOW_MS, delete_retention_ms=0
        )
        kept += outcome.records_kept
        return outcome.consumed

    each_window(log, work)
    return kept


def million_records_a_second(work: Callable[[], object]) -> float:
    def once() -> float:
        began = time.perf_counter()
        work()
        return RECORDS / (time.perf_counter() - began) / 1e6

    return median(once() for _ in range(REPETITIONS))


def beside_a_busy_thread(work: Callable[[], object]) -> float:
    stop = False

    def spin() -> None:
        while not stop:
            sum(range(1000))

    busy = threading.Thread(target=spin)
    busy.start()
    try:
        return million_records_a_second(work)
    finally:
        stop = True
        busy.join()


def main() -> None:
    print(f"kernel {KERNEL}, {RECORDS} records of 100 bytes, million records/s, median of", end=" ")
    print(f"{REPETITIONS}; in brackets beside a busy Python thread\n")
    print(f"{'':40}{'fill the map':>18}{'clean':>18}{'kept':>8}")
    for name, keys in (("few keys", RECORDS // 100), ("many keys", RECORDS)):
        for codec_name, codec in (("uncompressed", 0), ("lz4", 3)):
            for batch_name, batch_size in (("16 KiB", 16_384), ("1 MiB", 1 << 20)):
                log = encoded(keys, batch_size, codec)
                offset_map = fill(log)
                kept = clean(log, offset_map)
                assert kept == len(offset_map), "one record of each key"
                filled = [measure(lambda log=log: fill(log)) for measure in MEASURES]
                cleaned = [
                    measure(lambda log=log, known=offset_map: clean(log, known))
                    for measure in MEASURES
                ]
                columns = [f"{alone:.1f} ({beside:.1f})" for alone, beside in (filled, cleaned)]
                what = f"{name}, {codec_name}, {batch_name} batches"
                print(f"{what:40}{columns[0]:>18}{columns[1]:>18}{kept / RECORDS:>8.0%}")


MEASURES = (million_records_a_second, beside_a_busy_thread)

if __name__ == "__main__":
    main()
