"""What is done to a whole log is done or not, wherever it is cancelled; nothing stays open."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Any

import pytest

import streamlog
from streamlog.broker import registry
from streamlog.clients.asynchronous.workers import THREADS
from streamlog.errors import TopicExistsError
from tests.clients.cancelling import cancel_everywhere, ends_cancelled, on_a_loop, turn_until
from tests.clients.conftest import Story

pytestmark = pytest.mark.usefixtures("workers_take_a_turn")


def is_open(path: str) -> bool:
    return any(engine.place.path == path for engine in registry._registry.engines())


@on_a_loop
async def test_an_opening_that_is_cancelled_leaves_nothing_open(directory: str) -> None:
    logs: list[streamlog.AsyncStreamLog] = []

    async def attempt(_: int) -> None:
        logs.append(streamlog.open_async(directory))
        await logs[-1]

    async def check(_: int, cancelled: bool) -> None:
        if cancelled:
            await logs[-1]  # again, and now it is
        assert await logs[-1].topics() == {}
        await logs[-1].close()
        await turn_until(lambda: not is_open(directory))

    assert await cancel_everywhere(attempt, check) >= 1


@on_a_loop
async def test_a_cancelled_close_goes_on_and_is_waited_for_by_the_next(directory: str) -> None:
    logs: list[streamlog.AsyncStreamLog] = []

    async def attempt(_: int) -> None:
        logs.append(await streamlog.open_async(directory))
        producer = logs[-1].producer(linger_ms=60_000)
        if "flights" not in await logs[-1].topics():
            await logs[-1].create_topic("flights")
        await producer.send("flights", b"x")
        await logs[-1].close()

    async def check(_: int, cancelled: bool) -> None:
        if logs:
            await logs[-1].close()
        await turn_until(lambda: not is_open(directory))

    assert await cancel_everywhere(attempt, check) >= 3


@on_a_loop
async def test_a_cancelled_change_of_topics_is_made_or_not() -> None:
    async with streamlog.open_async(":memory:") as log:

        async def attempt(number: int) -> None:
            await log.create_topic(f"t{number}")

        async def check(number: int, cancelled: bool) -> None:
            with contextlib.suppress(TopicExistsError):
                await log.create_topic(f"t{number}")
            assert f"t{number}" in await log.admin.list_topics()

        assert await cancel_everywhere(attempt, check) >= 1


@on_a_loop
async def test_a_cancelled_verification_ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def verify(_: Any, progress: Any) -> list[Any]:
        try:
            while True:
                progress(1, 2)
        finally:
            ended.set()

    monkeypatch.setattr("streamlog.broker.verifying.verify_open_directory", verify)
    async with streamlog.open_async(":memory:") as log:
        reported = asyncio.Event()
        waiting = asyncio.create_task(log.verify(lambda *_: reported.set()))
        await reported.wait()
        waiting.cancel()
        assert await ends_cancelled(waiting)
        assert await asyncio.to_thread(ended.wait, 30)


@on_a_loop
async def test_a_cancelled_backup_is_made_or_not(directory: str, tmp_path: Path) -> None:
    async with streamlog.open_async(directory) as log:
        await log.create_topic("flights")

        async def attempt(number: int) -> None:
            await log.backup(tmp_path / str(number))

        async def check(number: int, cancelled: bool) -> None:
            target = tmp_path / str(number)
            if not cancelled or target.exists():
                async with streamlog.open_async(target) as copy:
                    assert "flights" in await copy.topics()

        assert await cancel_everywhere(attempt, check) >= 1


@on_a_loop
async def test_a_cancelled_backup_ends_soon_and_leaves_nothing(
    directory: str, tmp_path: Path
) -> None:
    async with streamlog.open_async(directory) as log:
        await log.create_topic("flights")
        Story(log.synchronous).write("flights", 0, b"a")
        began, cancelled, ended = threading.Event(), threading.Event(), threading.Event()
        back_up = log.synchronous.backup

        def held_up(*args: Any, progress: Any, **kwargs: Any) -> Any:
            def report(*now: int) -> None:
                began.set()
                assert cancelled.wait(30)
                progress(*now)

            try:
                return back_up(*args, progress=report, **kwargs)
            finally:
                ended.set()

        log.synchronous.backup = held_up  # type: ignore[method-assign]
        waiting = asyncio.create_task(log.backup(tmp_path / "backup"))
        assert await asyncio.to_thread(began.wait, 30)
        waiting.cancel()
        assert await ends_cancelled(waiting)
        cancelled.set()
        assert await asyncio.to_thread(ended.wait, 30)
        assert not (tmp_path / "backup").exists()


@on_a_loop
async def test_what_no_worker_has_begun_is_not_done() -> None:
    async with streamlog.open_async(":memory:") as log:
        release = threading.Event()
        for _ in range(THREADS):
            log._workers.start(release.wait)
        waiting = asyncio.create_task(log.create_topic("flights"))
        for _ in range(10):
            await asyncio.sleep(0)
        waiting.cancel()
        assert await ends_cancelled(waiting)
        release.set()
        assert await log.topics() == {}
