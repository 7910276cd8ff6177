"""Kafka's own assignors, patterns and hash, asked in a JVM: questions in, answers out, in JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.interop.rig.jars import TOOL_TIMEOUT_S, KafkaJars, KafkaMissingError

_SOURCE = Path(__file__).parent / "java" / "GroupOracle.java"


def ask(jars: KafkaJars, questions: Iterable[dict[str, Any]]) -> list[Any]:
    """An answer for each question. A JDK compiles the program as it starts it."""
    outcome = subprocess.run(
        jars.command(str(_SOURCE)),
        input="".join(json.dumps(question) + "\n" for question in questions),
        capture_output=True,
        text=True,
        timeout=TOOL_TIMEOUT_S,
        check=False,
    )
    if "jdk.compiler" in outcome.stderr:
        raise KafkaMissingError(
            "the interop tests ask Kafka's classes with a program of their own and need a "
            "JDK 17 or newer, not only its runtime (Debian: openjdk-17-jdk-headless)"
        )
    assert outcome.returncode == 0, outcome.stderr
    return [json.loads(line) for line in outcome.stdout.splitlines()]
