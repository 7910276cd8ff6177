"""Each asynchronous class has what its original has: the same names, parameters and texts."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import streamlog

# What is public for `streamlog`'s own modules, or is not awaited.
INTERNAL = {
    "StreamLog": {"adopt", "engine", "engine_for_writing", "forked_in_child"},
    "Producer": {
        "added_partition", "append_encoded", "end", "find_partition", "flush_at_exit", "hurry",
        "look_again", "mark_forked", "now_ms", "open_topic", "raise_failures", "refresh_targets",
        "see_through", "take_sticky", "target_of", "tick", "topics_removed", "give_back", "put",
    },
    "Consumer": {"begin_close", "end_close", "forked_in_child"},
    "Admin": set(),
    "TypedTopic": {"deserializers", "serializers"},
    "TypedProducer": set(),
}  # fmt: skip
AT_ONCE = {"producer", "consumer", "read"}  # these make handles, which are awaited or entered


def public(name: str) -> dict[str, Any]:
    """The methods of a class, inherited ones too, that users call."""
    return {
        key: member
        for key, member in inspect.getmembers(getattr(streamlog, name), callable)
        if not key.startswith("_") and key not in INTERNAL[name]
    }


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    """Names, kinds and defaults, without `self`."""
    found = list(inspect.signature(function).parameters.values())
    return [(each.name, each.kind, each.default) for each in found if each.name != "self"]


@pytest.mark.parametrize("name", sorted(INTERNAL))
def test_every_public_method_has_its_twin_with_the_same_parameters(name: str) -> None:
    twins = {
        key: member
        for key, member in inspect.getmembers(getattr(streamlog, f"Async{name}"), callable)
        if not key.startswith("_") and key != "load"
    }
    originals = public(name)
    missing = originals.keys() - twins.keys()
    assert not missing, f"Async{name} lacks {missing}: add `{{name}} = on_worker({name}.{{name}})`"
    assert twins.keys() == originals.keys()
    for key, original in originals.items():
        assert parameters(twins[key]) == parameters(original), f"{name}.{key}"
        assert inspect.getdoc(twins[key])


@pytest.mark.parametrize("name", sorted(INTERNAL))
def test_what_is_awaited_is_a_coroutine_function(name: str) -> None:
    for key in public(name).keys() - AT_ONCE - {"send"}:
        if name != "TypedTopic":
            assert inspect.iscoroutinefunction(getattr(getattr(streamlog, f"Async{name}"), key))


@pytest.mark.parametrize("name", ["StreamLog", "Consumer"])
def test_properties_have_their_twins(name: str) -> None:
    def properties(kind: type) -> set[str]:
        return {key for key, value in vars(kind).items() if isinstance(value, property)}

    original, twin = getattr(streamlog, name), getattr(streamlog, f"Async{name}")
    assert properties(original) - {"synchronous"} <= properties(twin)


def test_opening_takes_what_opening_takes() -> None:
    assert parameters(streamlog.open_async) == parameters(streamlog.open)


def test_help_shows_what_callers_get() -> None:
    assert inspect.signature(streamlog.Consumer.position).return_annotation == "int"
    assert inspect.signature(streamlog.AsyncConsumer.position).return_annotation == "int"


def test_a_method_without_a_twin_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamlog.Admin, "elect_leaders", lambda self: None, raising=False)
    with pytest.raises(AssertionError, match="elect_leaders"):
        test_every_public_method_has_its_twin_with_the_same_parameters("Admin")


TYPED = """
from typing import assert_type
import streamlog
from streamlog import Record, RecordFuture, RecordMetadata, TopicDescription, TopicPartition

async def main() -> None:
    async with streamlog.open_async("events") as log:
        assert_type(await log.topics(), dict[str, TopicDescription])
        assert_type(await log.create_topic("a", partitions=3, retention_ms=5), TopicDescription)
        assert_type(await log.admin.list_topics(internal=True), list[str])
        async with log.producer() as producer:
            assert_type(await producer.send("a", b"b"), RecordFuture)
            assert_type(await (await producer.send("a", b"b")), RecordMetadata)
        async with log.consumer("a") as consumer:
            assert_type(await consumer.poll(timeout_ms=5), list[Record])
            assert_type(await consumer.position(TopicPartition("a", 0)), int)
            async for record in consumer:
                assert_type(record, Record)
        async for read in log.read("a"):
            assert_type(read, Record)
        await log.admin.list_topics(inside=True)
        await consumer.poll("5")
"""


@pytest.mark.system  # mypy comes with the extra dev
def test_type_checkers_know_what_twins_take_and_return(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir",
               str(tmp_path / "cache"), str(program)]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    errors = [line.split("error: ")[1] for line in found.stdout.splitlines()]
    assert errors == [
        'Unexpected keyword argument "inside"  [call-arg]',
        'Argument 1 has incompatible type "str"; expected "float | None"  [arg-type]',
    ]
