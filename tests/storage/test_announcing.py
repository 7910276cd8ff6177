"""A bell that is rung before there is anything wakes who sleeps, and takes nobody's record away."""

from __future__ import annotations

import threading
from pathlib import Path

import streamlog
from streamlog.storage.system import COMPILED


def test_who_sleeps_is_woken_and_who_looks_too_soon_waits_on(tmp_path: Path) -> None:
    with streamlog.open(tmp_path) as log:
        log.create_topic("a")
        engine = log.engine()
        woken: list[bool] = []
        sleeping = threading.Thread(target=lambda: woken.append(engine.wait(engine.bell(), 30)))
        sleeping.start()
        while not woken:  # until it sleeps there is nobody to be woken
            engine.announce()
            if not COMPILED:
                engine.ring()
        sleeping.join()
        assert woken == [True]
        seen = engine.bell()
        engine.announce()
        assert engine.bell() == seen, "nobody sleeps: nothing is rung"
        with log.consumer("a") as consumer, log.producer(acks=1) as producer:
            waiting = threading.Thread(target=lambda: woken.append(next(consumer).value == b"x"))
            waiting.start()
            for _ in range(50):
                engine.announce()
            assert woken == [True]
            producer.send("a", b"x").result()
            waiting.join()
        assert woken == [True, True]
