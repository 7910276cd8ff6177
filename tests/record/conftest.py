"""Both kernels behind one fixture: what holds for one holds for the other."""

from __future__ import annotations

import importlib
import importlib.util
from types import SimpleNamespace
from typing import Any

import pytest

MODULES = {
    "pure": (
        *("record", "batch", "iterator", "builder", "bulk", "murmur2", "scan", "survey"),
        *("siphash", "offset_map", "cleaning"),
    ),
    "compiled": (
        *("_record", "_records", "_builder", "_bulk", "_scan", "_survey"),
        *("_offset_map", "_cleaning"),
    ),
}
NAMES = (
    "OffsetMap",
    "Record",
    "RecordBatch",
    "RecordBatchBuilder",
    "RecordIterator",
    "clean_batches",
    "count_good_batches",
    "encode_many",
    "murmur2",
    "partition_for_key",
    "partition_many",
    "scan_segment",
    "siphash128",
    "survey_records",
)


def load_kernel(name: str) -> Any:
    """The names of one kernel, whichever one the process runs on."""
    if name == "compiled" and importlib.util.find_spec("streamlog.record._records") is None:
        pytest.skip("the compiled kernel was not built: no C compiler at installation")
    modules = [importlib.import_module(f"streamlog.record.{module}") for module in MODULES[name]]
    found = {
        key: getattr(module, key) for key in NAMES for module in modules if key in vars(module)
    }
    return SimpleNamespace(name=name, **found)


@pytest.fixture(params=["pure", "compiled"])
def kernel(request: pytest.FixtureRequest) -> Any:
    return load_kernel(request.param)


@pytest.fixture
def kernels() -> tuple[Any, Any]:
    """(pure, compiled), for what must be the same in both."""
    return load_kernel("pure"), load_kernel("compiled")
