"""What is changed of a broker while it runs reaches the housekeeping of every process."""

from __future__ import annotations

import threading

import pytest

from streamlog.broker.engine import Engine
from streamlog.broker.throttle import Throttle
from streamlog.config import AlterConfigOp
from streamlog.config.config_entry import ConfigSource
from streamlog.config.listener_settings import ListenerConfig
from streamlog.errors import BrokerError
from streamlog.testing.clock import ManualClock
from tests.broker.compacted import SETTINGS, latest, offsets, write
from tests.broker.machine import NOW, Machine
from tests.broker.test_topic_configs import set_for_brokers

LISTENER = ListenerConfig.from_settings({})


@pytest.fixture
def machine() -> Machine:
    return Machine()


def alter(engine: Engine, name: str, **settings: str) -> None:
    changes = {
        setting.replace("_", "."): AlterConfigOp("set", value)
        for setting, value in settings.items()
    }
    engine.broker_configs.alter(name, 0, changes)


def test_the_backoff_counts_in_every_process(machine: Machine) -> None:
    mine, other = machine.open()[0], machine.open()[0]
    mine.create_topic("orders", 1, SETTINGS)
    assert other.housekeeper.run_once(NOW)
    write(mine)
    machine.clock.advance(100)
    other.housekeeper.run_once(NOW)
    assert len(offsets(mine)) == 40, "15 seconds are not over"
    alter(mine, "", log_cleaner_backoff_ms="100")
    other.refresh()
    other.housekeeper.run_once(NOW)
    assert len(offsets(mine)) < 10


def test_the_next_pass_has_another_map(machine: Machine) -> None:
    """One that is full after 1% of a MiB: 436 keys."""
    mine, other = machine.open()[0], machine.open()[0]
    mine.create_topic("orders", 1, SETTINGS)
    alter(mine, "", log_cleaner_dedupe_buffer_size=str(1 << 20))
    alter(mine, "0", log_cleaner_io_buffer_load_factor="0.01")
    write(mine, count=500, keys=450)
    other.refresh()
    log = other.partition("orders", 0)
    log.roll(now_ms=NOW)
    first = other.housekeeper._cleaner.compact_once(log, NOW)
    assert first is not None
    reached = other.housekeeper._cleaner._checkpoints.offsets["orders", 0]
    assert 430 < reached <= 436
    other.compact("orders")
    assert offsets(mine) == latest(500, 450)


def test_a_pass_goes_on_at_the_rate_that_it_gets_meanwhile(machine: Machine) -> None:
    """From another process. At a byte a second it would take hours."""
    engine, other = machine.open()[0], machine.open()[0]
    engine.create_topic("orders", 1, SETTINGS)
    write(engine)
    alter(engine, "", log_cleaner_io_max_bytes_per_second="1")
    waiting = threading.Event()
    throttle = engine.housekeeper._cleaner._throttle
    rest = throttle._wait

    def wait(seconds: float) -> bool | None:
        waiting.set()
        return rest(min(seconds, 0.01))

    throttle._wait = wait
    thread = threading.Thread(target=engine.compact, args=("orders",))
    thread.start()
    assert waiting.wait(30)
    alter(other, "0", log_cleaner_io_max_bytes_per_second="1e15")
    thread.join(30)
    assert not thread.is_alive()
    assert offsets(engine) == latest()


def test_what_another_rate_wanted_is_forgotten() -> None:
    clock, rates, waited = ManualClock(), [1.0], []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        rates[0] = 1e6

    throttle = Throttle(lambda: rates[0], clock, wait)
    throttle.passed(1000)
    throttle.passed(1000)
    assert waited == [1.0]


def test_who_waits_for_a_round_is_roused(machine: Machine) -> None:
    engine, _ = machine.open(housekeeping=True, log_cleaner_backoff_ms=10**9)
    timer, done = engine.housekeeper._cleaning, threading.Semaphore(0)
    genuine = timer.restart

    def restart() -> None:
        genuine()
        done.release()

    timer.restart = restart  # type: ignore[method-assign]
    engine.create_topic("orders", 1, SETTINGS)
    assert done.acquire(timeout=30)
    machine.clock.advance(2_000)
    alter(engine, "", log_cleaner_backoff_ms="1000")
    assert done.acquire(timeout=30)
    engine.close_now()


def test_what_a_broker_left_and_is_not_allowed_here_is_passed_over(machine: Machine) -> None:
    engine, _ = machine.open()
    set_for_brokers(engine, "log.cleaner.backoff.ms", value="0")
    set_for_brokers(engine, "log.cleaner.io.buffer.load.factor", value="NaN")
    set_for_brokers(engine, "max.connections", value=" 44 ")
    set_for_brokers(engine, "ssl.keystore.password", value="secret")
    assert engine.broker_configs.of_directory() == engine.config
    assert engine.broker_configs.of_listener(LISTENER, 0).max_connections == 44
    described = engine.broker_configs.describe("0", 0, LISTENER)
    assert described["log.cleaner.backoff.ms"].source == ConfigSource.DEFAULT_CONFIG
    of_all = engine.broker_configs.describe("", 0, LISTENER)
    assert of_all["log.cleaner.backoff.ms"].value == "0"
    assert of_all["ssl.keystore.password"].is_sensitive


def test_of_the_cleaner_every_node_tells_what_the_directory_goes_by(machine: Machine) -> None:
    engine, _ = machine.open()
    alter(engine, "0", log_cleaner_backoff_ms="70")
    set_for_brokers(engine, "log.cleaner.backoff.ms", "1", value="80")
    described = engine.broker_configs.describe("1", 1, LISTENER)
    assert described["log.cleaner.backoff.ms"].value == "70"
    assert engine.broker_configs.of_directory().log_cleaner_backoff_ms == 70


def test_a_node_is_asked_for_itself(machine: Machine) -> None:
    engine, _ = machine.open()
    with pytest.raises(BrokerError, match="this is node 0"):
        engine.broker_configs.describe("1", 0, LISTENER)
    with pytest.raises(BrokerError, match="an integer, not 'one'"):
        engine.broker_configs.changed("one", 0)
