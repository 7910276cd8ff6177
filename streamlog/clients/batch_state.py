"""The life of a producer's batch, as data. Twin: the `enum` in `_accumulator.pyx`.

    OPEN ──▶ SEALED ──▶ WRITTEN ──▶ DONE
                 │          │
                 └──────────┴─────▶ FAILED

OPEN takes records. SEALED waits for its turn, or is being appended. WRITTEN has its offsets and
waits for the disk (`acks="all"` only). DONE is as durable as was asked. FAILED has its error.
"""

from __future__ import annotations

from typing import Final

OPEN: Final = 0
SEALED: Final = 1
WRITTEN: Final = 2
DONE: Final = 3
FAILED: Final = 4

USABLE: Final = 0
"""What `RecordAccumulator.unusable` says of a producer: it takes records, or why it does not."""
CLOSED: Final = 1
FORKED: Final = 2
