"""What a debugger shows of each client: what it is of, and whether it can still be used."""

from __future__ import annotations

from pathlib import Path

import streamlog
from tests.clients.cancelling import on_a_loop


def test_clients_say_what_they_are_of(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with streamlog.open(path) as log:
        log.create_topic("a")
        producer, consumer = log.producer(acks=1), log.consumer("a", group_id="billing")
        assert repr(producer) == f"<Producer acks=1 on {path}>"
        assert repr(log.producer()) == f"<Producer acks=all on {path}>"
        assert repr(consumer) == f"<Consumer in billing on {path}>"
        assert repr(log.consumer()) == f"<Consumer on {path}>"
        assert repr(log.admin) == f"<Admin of <StreamLog {path}>>"
    assert repr(producer) == f"<Producer acks=1 on {path} closed>"
    assert repr(consumer) == f"<Consumer in billing on {path} closed>"


@on_a_loop
async def test_their_twins_say_it_too(tmp_path: Path) -> None:
    path = tmp_path / "log"
    async with streamlog.open_async(path) as log:
        await log.create_topic("a")
        async with log.producer() as producer, log.consumer("a") as consumer:
            assert repr(producer) == f"<AsyncProducer acks=all on {path}>"
            assert repr(consumer) == f"<AsyncConsumer on {path}>"
        assert repr(log.admin) == f"<AsyncAdmin of <StreamLog {path}>>"
