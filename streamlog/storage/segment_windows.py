"""Reading a sealed segment batch by batch, in windows that bound memory."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from streamlog.errors import CorruptRecordError, DecompressionError, UnsupportedFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlog.record.cleaning_outcome import CleaningOutcome, FillOutcome
    from streamlog.storage.segment_file import SegmentFile

WINDOW_BYTES: Final = 1 << 20


class SegmentWindows:
    """The bytes of a segment from `position` on, as whole batches are taken off them.

    `next_offset` is the lowest offset that may come next. `topic` and `partition` name the
    segment in errors.
    """

    __slots__ = ("_source", "_window", "next_offset", "partition", "position", "topic")

    def __init__(
        self,
        source: SegmentFile,
        position: int,
        next_offset: int,
        *,
        topic: str,
        partition: int,
    ) -> None:
        self._source = source
        self._window = WINDOW_BYTES
        self.position = position
        self.next_offset = next_offset
        self.topic = topic
        self.partition = partition

    def read(self) -> memoryview:
        """The next bytes; none at the end. Raises `InputOutputError`."""
        left = self._source.size_at_open - self.position
        return self._source.view(self.position, min(self._window, left))

    def take(self, outcome: FillOutcome | CleaningOutcome) -> None:
        """Go on behind the batches that were taken; the next window holds one at least.

        Raises `CorruptRecordError` when the segment ends within a batch.
        """
        self.position += outcome.consumed
        self.next_offset = outcome.next_offset
        left = self._source.size_at_open - self.position
        if outcome.needed > left:
            raise self._corrupt(f"it needs {outcome.needed} bytes, and {left} are left")
        self._window = max(WINDOW_BYTES, outcome.needed)

    def finish(self, end_offset: int) -> None:
        """At the end: the next segment begins with `end_offset`.

        Raises `CorruptRecordError` when this one has batches from there on.
        """
        if self.next_offset > end_offset:
            raise self._corrupt(f"it ends at {self.next_offset}, the next begins at {end_offset}")

    @contextmanager
    def located(self) -> Iterator[None]:
        """Errors about what was read say where it is: topic, partition, file and position."""
        try:
            yield
        except (CorruptRecordError, DecompressionError, UnsupportedFormatError) as error:
            position = self.position + error.context.get("position", 0)
            reason = error.context.get("reason", error.message)
            context = {**error.context, **self._place(position)}
            raise type(error)(self._describe(position, reason), **context) from error

    def _corrupt(self, reason: str) -> CorruptRecordError:
        message = self._describe(self.position, reason)
        return CorruptRecordError(message, reason=reason, **self._place(self.position))

    def _describe(self, position: int, reason: str) -> str:
        return (
            f"{self.topic}-{self.partition} cannot be compacted: the batch at byte {position} of "
            f"{self._source.path} (offset {self.next_offset} or behind) is damaged: {reason}; "
            "nothing was changed, `streamlog verify` shows what else is"
        )

    def _place(self, position: int) -> dict[str, object]:
        return {
            "topic": self.topic,
            "partition": self.partition,
            "file": self._source.path,
            "position": position,
        }
