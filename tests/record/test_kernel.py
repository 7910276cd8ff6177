"""Which kernel runs, and what passes between processes that run different ones."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tests.record.conftest import NAMES, load_kernel
from tests.record.samples import TWO_RECORDS

ROOT = Path(__file__).parents[2]


def run(code: str, kernel: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "STREAMLOG_KERNEL": kernel},
        cwd=ROOT,
        input=data,
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", ["pure", "compiled"])
def test_the_environment_chooses(name):
    load_kernel(name)
    done = run("from streamlog.record.kernel import *; print(KERNEL, Record.__module__)", name)
    expected = {"pure": "streamlog.record.record", "compiled": "streamlog.record._record"}
    assert done.stdout.decode().split() == [name, expected[name]]


def test_a_kernel_that_does_not_exist_is_refused():
    done = run("import streamlog.record.kernel", "fast")
    assert b"must be 'pure' or 'compiled', not 'fast'" in done.stderr


def test_both_kernels_offer_the_same():
    pure, compiled = (vars(load_kernel(name)) for name in ("pure", "compiled"))
    assert set(pure) == set(compiled) == {"name", *NAMES}
    for name in ("RecordBatch", "RecordBatchBuilder", "RecordIterator", "Record"):
        public = [
            {attribute for attribute in dir(kernel[name]) if not attribute.startswith("_")}
            for kernel in (pure, compiled)
        ]
        assert public[0] - {"next_record"} == public[1]
        assert pure[name].__doc__ == compiled[name].__doc__
    for name in ("encode_many", "scan_segment", "count_good_batches", "murmur2"):
        assert pure[name].__doc__ == compiled[name].__doc__


PICKLE = """
import pickle, sys
from streamlog.record.kernel import RecordBatch
sys.stdout.buffer.write(pickle.dumps(list(RecordBatch(sys.stdin.buffer.read()).records("t", 2))))
"""
UNPICKLE = """
import pickle, sys
print(pickle.loads(sys.stdin.buffer.read()))
"""


@pytest.mark.parametrize(("writer", "reader"), [("pure", "compiled"), ("compiled", "pure")])
def test_records_are_pickled_between_kernels(writer, reader):
    load_kernel("compiled")
    pickled = run(PICKLE, writer, TWO_RECORDS)
    assert pickled.returncode == 0, pickled.stderr.decode()
    opened = run(UNPICKLE, reader, pickled.stdout)
    assert opened.returncode == 0, opened.stderr.decode()
    expected = list(load_kernel(reader).RecordBatch(TWO_RECORDS).records("t", 2))
    assert opened.stdout.decode().strip() == repr(expected)


def test_batches_and_iterators_cannot_be_half_made(kernel):
    for wrong in ((), (5,), (None,), ("text",)):
        with pytest.raises(TypeError):
            kernel.RecordBatch(*wrong)
    with pytest.raises(TypeError):
        next(kernel.RecordIterator())
    with pytest.raises(TypeError):
        pickle.dumps(kernel.RecordBatch(TWO_RECORDS))
