"""One engine a directory and process, also when something fails while it is entered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamlog.broker import registry
from streamlog.broker.registry import open_engine, release
from streamlog.clock import SYSTEM_CLOCK
from streamlog.config.client_settings import OpenConfig
from streamlog.storage.filesystem import OS_FILESYSTEM


def open_at(path: Path) -> Any:
    return open_engine(
        str(path),
        create=True,
        read_only=False,
        mode=0o700,
        config=OpenConfig.from_settings({}),
        filesystem=OS_FILESYSTEM,
        clock=SYSTEM_CLOCK,
    )


def test_the_second_opening_shares_the_first_ones_engine(tmp_path: Path) -> None:
    first, second = open_at(tmp_path / "log"), open_at(tmp_path / "log")
    assert first is second
    release(first)
    assert registry._registry.engines() == [second]
    release(second)
    assert registry._registry.engines() == []


@pytest.mark.parametrize("step", ["_Shared", "_watch_forks", "_new_engine"])
def test_an_opening_that_finds_no_memory_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(registry, step, fail)
        with pytest.raises(MemoryError):
            open_at(tmp_path / "log")
    assert registry._registry.shared == {}
    release(open_at(tmp_path / "log"))
