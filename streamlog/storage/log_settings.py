"""What a partition log is told of its process and of the place where its files lie."""

from __future__ import annotations

from typing import NamedTuple


class LogSettings(NamedTuple):
    """What of the process and the place bears on a partition's files."""

    lock_timeout_ms: int = 10_000
    file_mode: int = 0o600
    use_maps: bool = True
    durable: bool = True  # False on tmpfs and for `:memory:`: there is no disk to sync to
    read_only: bool = False
