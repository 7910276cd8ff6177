"""Verifying the segments of one partition, one after the other, while others may go on.

Nobody is held up, so segments may be removed or exchanged under the eyes of who verifies. The
published state is compared behind each of them: what was found of files that were exchanged
meanwhile is thrown away and looked for again, what lies below the log's start by then is no
finding, and a file that is missing under a state that still holds is missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from streamlog.errors import CorruptDirectoryError
from streamlog.storage.folder import list_bases
from streamlog.storage.hidden_files import log_size
from streamlog.storage.names import LOG, TRANSACTION_INDEX, segment_name
from streamlog.storage.segment_verification import SegmentVerification
from streamlog.storage.structure import same_segments
from streamlog.storage.transaction_index import read_transaction_index

if TYPE_CHECKING:
    from streamlog.storage.filesystem import Filesystem
    from streamlog.storage.finding import PartitionFindings
    from streamlog.storage.leader_epochs import LeaderEpochs
    from streamlog.storage.shared import PartitionState

    Published = Callable[[], PartitionState | None]

_EXCHANGE_TIMEOUT_S: Final = 10.0
_PAUSE_S: Final = 0.005


class Reached(NamedTuple):
    """How far the verification got: the offset behind the last batch, and its leader epoch."""

    end: int
    leader_epoch: int


class LogVerification:
    """One run over one partition. `published` tells its state, None where nobody has it open.

    `log_start` is where the log begins in a directory that is not in use; there the last segment
    may end as a crash leaves it, when it `may_be_torn`. Offsets may be missing where the log
    `is_cleaned`, and behind `recovery_point` after a crash. That is asked when some are found to
    be: a compaction that begins meanwhile says so before it takes any out.
    """

    def __init__(
        self,
        filesystem: Filesystem,
        directory: str,
        findings: PartitionFindings,
        *,
        epochs: LeaderEpochs,
        published: Published,
        log_start: int,
        recovery_point: int,
        is_cleaned: Callable[[], bool],
        may_be_torn: bool,
        advance: Callable[[int], None],
    ) -> None:
        self._filesystem = filesystem
        self._directory = directory
        self._findings = findings
        self._epochs = epochs
        self._published = published
        self._log_start = log_start
        self._recovery_point = recovery_point
        self._is_cleaned = is_cleaned
        self._may_be_torn = may_be_torn
        self._advance = advance

    def run(self) -> int:
        """Verify every segment; the offset behind the last one."""
        state = self._published()
        waiting = self._bases(state)
        reached = Reached(waiting[0] if waiting else 0, -1)
        while waiting:
            base = waiting.pop(0)
            found = self._findings.none_yet()
            after = self._verify(base, reached, state, found, is_last=not waiting)
            now = self._published()
            if _is_exchanged(state, now):
                state = self._wait_for_exchange(now)
                waiting = self._bases(state)
                waiting = waiting[max(sum(each <= base for each in waiting) - 1, 0) :]
                reached = reached._replace(end=min(reached.end, *waiting[:1]))
                continue
            if base >= min(self._bases(now), default=base):  # else it was removed
                self._findings.found += found.found
                reached = after
        return reached.end

    def _bases(self, state: PartitionState | None) -> list[int]:
        """The segments of `state` that hold anything from the log's start on."""
        bases = list_bases(self._filesystem, self._directory)
        log_start = self._log_start
        if state is not None:
            bases = [base for base in bases if base <= state.base_offset]
            log_start = state.log_start
        return bases[max(sum(base <= log_start for base in bases) - 1, 0) :]

    def _wait_for_exchange(self, state: PartitionState | None) -> PartitionState | None:
        """The state when segments are not being exchanged any more, or nobody gets on with it."""
        deadline = time.monotonic() + _EXCHANGE_TIMEOUT_S
        while state is not None and state.restructuring and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
            state = self._published()
        return state

    # ---------------------------------------------------------------- one segment

    def _verify(
        self,
        base_offset: int,
        reached: Reached,
        state: PartitionState | None,
        findings: PartitionFindings,
        *,
        is_last: bool,
    ) -> Reached:
        path = f"{self._directory}/{segment_name(base_offset, LOG)}"
        try:
            is_empty = log_size(self._filesystem, self._directory, base_offset) == 0
            if base_offset < reached.end and is_empty:
                findings.warning("empty_segment", path, "a roll that was given up left it")
                return reached
            if base_offset < reached.end:
                text = f"it starts at {base_offset}, the one before ends at {reached.end}"
                findings.error("overlap", path, text)
            pass_gap = partial(self._pass_gap, findings)
            if base_offset > reached.end:
                pass_gap(path, 0, reached.end, base_offset)
            active = state if state is not None and base_offset == state.base_offset else None
            verification = SegmentVerification(
                self._filesystem,
                self._directory,
                base_offset,
                findings,
                epochs=self._epochs,
                leader_epoch=reached.leader_epoch,
                limit=None if active is None else active.end_position,
                offset_index_size=None if active is None else active.offset_index_size,
                time_index_size=None if active is None else active.time_index_size,
                may_be_torn=self._may_be_torn and state is None and is_last,
                pass_gap=pass_gap,
                advance=self._advance,
            )
            verification.run()
            self._verify_transaction_index(base_offset, findings)
        except FileNotFoundError as error:
            findings.error("missing_file", error.filename or path, "it was there a moment ago")
            return reached
        return Reached(verification.next_offset, verification.leader_epoch)

    def _pass_gap(
        self, findings: PartitionFindings, path: str, position: int, first: int, following: int
    ) -> None:
        """Report the offsets from `first` up to `following`, which no batch has, if one should."""
        now = self._published()
        first = max(first, self._log_start if now is None else now.log_start)
        if first >= following or self._is_cleaned():
            return
        is_unsynced = self._may_be_torn and now is None and first >= self._recovery_point
        report = findings.warning if is_unsynced else findings.error
        report(
            "missing_records",
            path,
            f"the batches of offsets {first} to {following - 1} are missing before this one",
            position=position,
            offset=first,
        )

    def _verify_transaction_index(self, base_offset: int, findings: PartitionFindings) -> None:
        path = f"{self._directory}/{segment_name(base_offset, TRANSACTION_INDEX)}"
        if self._filesystem.exists(path):
            try:
                read_transaction_index(self._filesystem, self._directory, base_offset)
            except CorruptDirectoryError as error:
                findings.error("index", path, str(error))


def _is_exchanged(before: PartitionState | None, now: PartitionState | None) -> bool:
    """Whether files were others by the end; where the directory was closed they were not."""
    if now is None:
        return False
    return before is None or not same_segments(before._replace(log_start=now.log_start), now)
