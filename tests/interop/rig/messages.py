"""Kafka's own classes for messages, asked by the thousand in one run of Java."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.interop.rig.jars import TOOL_TIMEOUT_S, KafkaJars, compile_java

_SOURCE = Path(__file__).with_name("KafkaMessages.java")


class Decoded(NamedTuple):
    """What Kafka made of a message: its JSON, and its bytes as it writes them again.

    All is None where this Kafka does not have it; `error` says why it was not accepted.
    """

    json: Any = None
    data: bytes | None = None
    error: str | None = None

    @property
    def is_unknown(self) -> bool:
        return self == Decoded()


class KafkaMessages:
    """A class of ours between standard input and Kafka's classes: see KafkaMessages.java."""

    def __init__(self, jars: KafkaJars, folder: Path) -> None:
        self._jars = jars
        self._classes = folder
        compile_java(jars, _SOURCE, folder)

    def decode(self, messages: Sequence[tuple[str, int, bytes]]) -> list[Decoded]:
        """What Kafka makes of each (name, version, bytes)."""
        work = [f"message {name} {version} {_text(data)}" for name, version, data in messages]
        return [_decoded(answer) for answer in self.ask(work)]

    def ask(self, work: Sequence[str]) -> list[str]:
        """The answer to each line of work."""
        command = self._jars.command("KafkaMessages", heap="1g")
        command[command.index("-cp") + 1] += f":{self._classes}"
        outcome = subprocess.run(
            command,
            input="\n".join(work) + "\n",
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TOOL_TIMEOUT_S,
            check=True,
        )
        answers = outcome.stdout.split("\n")[:-1]
        assert len(answers) == len(work), outcome.stdout[-2000:] + outcome.stderr
        return answers

    def table(self, name: str) -> Any:
        """The table of `apis` or `errors`."""
        (answer,) = self.ask([name])
        return json.loads(answer.removeprefix("ok "))


def _decoded(answer: str) -> Decoded:
    outcome, _, rest = answer.partition(" ")
    if outcome == "ok":
        data, _, text = rest.partition(" ")
        return Decoded(json.loads(text), base64.b64decode(data))
    return Decoded() if outcome == "unknown" else Decoded(error=rest)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
