"""How fast is `send_many()` beside the stores that people embed today, SQLite and LMDB?

All write the same 100-byte values, 1,000 at a time: a transaction of `executemany` in WAL mode,
a transaction of `put(append=True)`, a call of `send_many()`. None syncs (`synchronous=NORMAL`,
`sync=False`, `acks=1`): what was committed survives the process, as with `acks=1`. Everybody has
written one record when the clock starts. Values are read back and their checksums compared.

What is fair: LMDB gets its fastest keys (consecutive, appended), SQLite its fastest table (an
integer primary key that it chooses itself). Lists and tuples are made before the clock starts.
The price of `put()` includes making the key of 8 bytes, which streamlog's offsets do not need.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from rig.benchmark import WRITTEN, Options, Result, ratio_row, run_benchmark
from rig.embedded import chunks, write_lmdb, write_sqlite
from rig.measuring import Run, hold_contest
from rig.ours import found, new_log
from rig.values import make_values


def write_streamlog(options: Options, values: Sequence[bytes]) -> Run:
    calls = chunks(values)
    with new_log(options.scratch) as log:
        log.create_topic("log")
        with log.producer(acks=1) as producer:
            producer.send("log", values[0]).result()
            began = time.perf_counter()
            for chunk in calls:
                producer.send_many("log", chunk)
            producer.flush()
            seconds = time.perf_counter() - began
        return Run(seconds, *found(log, ["log"]))


def measure(options: Options) -> list[Result]:
    values = make_values(options.pick(300_000, 20_000))
    contest = hold_contest(
        {
            "streamlog": lambda: write_streamlog(options, values),
            "SQLite": lambda: write_sqlite(options.scratch, values),
            "LMDB": lambda: write_lmdb(options.scratch, values),
        },
        options.repetitions,
    )
    peers = (("SQLite", "`executemany`", 10), ("LMDB", "`put(append=True)`", 4))
    return [
        ratio_row(
            f"`send_many()` of 1,000, beside {peer}",
            target,
            f"{peer} {call} of 1,000 a transaction",
            contest.ratio("streamlog", peer),
            contest.ratios("streamlog", peer),
            WRITTEN,
        )
        for peer, call, target in peers
    ]


if __name__ == "__main__":
    run_benchmark(__doc__, measure)
