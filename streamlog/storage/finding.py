"""What verification says: one finding for each thing that is wrong, and where it is."""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["error", "warning"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong.

    An `error` is damage or a contradiction; a `warning` is what a crash leaves and opening
    repairs, or what is in the way. `kind` is a short name for programs, `message` says it to
    people. `position` is the byte in `file`, `offset` the record's, -1 where there is none.
    """

    severity: Severity
    kind: str
    file: str
    message: str
    position: int = -1
    offset: int = -1
    topic: str = ""
    partition: int = -1

    def __str__(self) -> str:
        place = self.file if self.position < 0 else f"{self.file} at byte {self.position}"
        return f"{self.severity}: {place}: {self.message}"


class PartitionFindings:
    """Findings about one partition, as they are gathered."""

    def __init__(self, topic: str = "", partition: int = -1) -> None:
        self._topic = topic
        self._partition = partition
        self.found: list[Finding] = []

    def none_yet(self) -> PartitionFindings:
        """For findings about the same partition that may turn out to be worth nothing."""
        return PartitionFindings(self._topic, self._partition)

    def error(
        self, kind: str, file: str, message: str, *, position: int = -1, offset: int = -1
    ) -> None:
        """Add an error."""
        self._add("error", kind, file, message, position, offset)

    def warning(
        self, kind: str, file: str, message: str, *, position: int = -1, offset: int = -1
    ) -> None:
        """Add a warning."""
        self._add("warning", kind, file, message, position, offset)

    def _add(
        self, severity: Severity, kind: str, file: str, message: str, position: int, offset: int
    ) -> None:
        self.found.append(
            Finding(severity, kind, file, message, position, offset, self._topic, self._partition)
        )
