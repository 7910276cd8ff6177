"""How much the harnesses do: a bounded sample in every run, more when the environment says so.

    STREAMLOG_POWER_CUTS=2000 python -m pytest -m soak tests/crash/test_power_cuts.py

Each name is said where it is used; a soak test has a long default of its own.
"""

from __future__ import annotations

import os


def size(name: str, default: int) -> int:
    """`STREAMLOG_<name>` from the environment, or the default."""
    return int(os.environ.get(f"STREAMLOG_{name}", default))


SEED = size("SEED", 1)
