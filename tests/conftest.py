"""What every test has: the kernel in the header, no silent skips in CI, bounded properties."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

import streamlog
from streamlog.testing.clock import ManualClock

IN_CI = os.environ.get("CI", "").lower() in ("1", "true")

# Without a deadline: the machine may be busy, and a slow example is no wrong one.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, max_examples=100, print_blob=True
)
hypothesis.settings.load_profile("ci" if IN_CI else "default")


def pytest_report_header() -> str:
    """Say which kernel the results are about."""
    return f"streamlog: kernel {getattr(streamlog, 'kernel', 'unknown')}, CI {IN_CI}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test that skips itself has failed: what it needs is to be installed."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped in CI: {call.excinfo and call.excinfo.value}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module."""
    report = yield
    if IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped in CI: {report.longrepr}"
    return report


@pytest.fixture
def directory(tmp_path: Path) -> str:
    """The path of a log directory that is not there yet."""
    return str(tmp_path / "log")


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that moves when the test says so."""
    return ManualClock()
