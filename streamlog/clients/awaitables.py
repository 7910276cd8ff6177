"""Selects the compiled awaitables or their pure twins, as `streamlog.record.kernel` did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlog.record.kernel import KERNEL

if TYPE_CHECKING or KERNEL == "pure":
    from streamlog.clients.awaitable import AsyncRecordStream, AsyncSender, NextRecord, Resolved
else:
    from streamlog.clients._awaitable import AsyncRecordStream, AsyncSender, NextRecord, Resolved

__all__ = ["AsyncRecordStream", "AsyncSender", "NextRecord", "Resolved"]
