"""The examples run as their readers run them, and tell what they promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def output_of(script: str, **environment: str) -> str:
    ended = subprocess.run(
        [sys.executable, str(EXAMPLES / script)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_groups() -> None:
    told = output_of("groups.py")
    assert "3 processes share 6 partitions" in told
    assert re.search(r"flights processed; 3 members, lag [1-9]", told)
    assert re.search(r"killed \w+ \(-9\); \d+ ms later the others had \[\d, \d\] as well", told)
    assert "all 26,076 flights processed" in told
    assert re.search(r"[1-9]\d* were processed again", told)
    assert "all workers have left: 0 members, lag 0" in told
    assert "928 flights, of day 31 alone" in told
    assert "as seen in process: 1 member, lag 0" in told


def test_groups_without_confluent_kafka(tmp_path: Path) -> None:
    (tmp_path / "confluent_kafka.py").write_text("raise ImportError('not installed')\n")
    told = output_of("groups.py", PYTHONPATH=str(tmp_path))
    assert "left out: confluent-kafka is not installed" in told
    assert "all 26,076 flights processed" in told
