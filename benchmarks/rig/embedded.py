"""SQLite in WAL mode and LMDB, set to promise what `acks=1` does: to survive the process.

SQLite runs with `synchronous=NORMAL`, LMDB with `sync=False`: neither syncs at a commit. Both
keep a log in the way that suits them best: keys are the consecutive offsets.
"""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import lmdb

from rig.measuring import Run
from rig.values import checksum

PER_TRANSACTION = 1_000
_MAP_BYTES = 1 << 36
_numbers = itertools.count()


def chunks(values: Sequence[bytes]) -> list[Sequence[bytes]]:
    """The values of each transaction."""
    starts = range(0, len(values), PER_TRANSACTION)
    return [values[start : start + PER_TRANSACTION] for start in starts]


def write_sqlite(scratch: Path, values: Sequence[bytes]) -> Run:
    """`executemany` of 1,000 rows a transaction."""
    path = scratch / f"sqlite-{next(_numbers)}"
    transactions = [[(value,) for value in chunk] for chunk in chunks(values)]
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=normal")
    database.execute("create table log (number integer primary key, value blob)")
    database.execute("insert into log (value) values (?)", (values[0],))
    began = time.perf_counter()
    for rows in transactions:
        database.execute("begin")
        database.executemany("insert into log (value) values (?)", rows)
        database.execute("commit")
    seconds = time.perf_counter() - began
    found = [value for (value,) in database.execute("select value from log")]
    database.close()
    path.unlink()
    return Run(seconds, len(found), checksum(found))


def write_lmdb(scratch: Path, values: Sequence[bytes]) -> Run:
    """`put(append=True)`, 1,000 of them a transaction."""
    with open_lmdb(scratch) as environment:
        put_all(environment, values[:1])
        began = time.perf_counter()
        put_all(environment, values, start=1)
        seconds = time.perf_counter() - began
        with environment.begin() as transaction:
            found = [value for _, value in transaction.cursor()]
    return Run(seconds, len(found), checksum(found))


def open_lmdb(scratch: Path) -> lmdb.Environment:
    """An empty environment in a new directory."""
    return lmdb.open(str(scratch / f"lmdb-{next(_numbers)}"), map_size=_MAP_BYTES, sync=False)


def put_all(environment: lmdb.Environment, values: Sequence[bytes], start: int = 0) -> None:
    """Append the values under consecutive keys of 8 bytes."""
    number = start
    for chunk in chunks(values):
        with environment.begin(write=True) as transaction:
            put = transaction.put
            for value in chunk:
                put(number.to_bytes(8, "big"), value, append=True)
                number += 1
