"""The explorer catches bugs that are planted: above all, each sync that is forgotten.

A sync is named by what it is for and by the two functions that ask for it. A new one goes into
`NEEDED`, with a story that breaks without it, or into `SPARE`, with the reason why a crash alone
cannot show that it is missing.
"""

from __future__ import annotations

from typing import Any

import pytest

from streamlog.broker import backup_partition, backup_place, delete_records
from streamlog.broker.backup_place import BackupPlace
from streamlog.broker.topic_configs import TopicConfigs
from streamlog.storage import halved_scan, recovery, segment_scan, unclean_recovery
from streamlog.testing.memory_filesystem import MemoryFilesystem
from tests.crash import forgetting
from tests.crash.explorer import Explorer, Plan, Violation
from tests.crash.stories import STORIES, more

NEEDED = {
    "file: backup_files._copy < backup_files.add": "backups",
    "file: backup_files.write < backup._finish_top": "backups",
    "file: backup_files.write < backup_partition.finish_partition": "backups",
    "parent directory: backup_place.put_in_place < backup.make": "backups",
    "partition folder: backup._finish_top < backup.make": "backups",
    "partition folder: backup_partition.finish_partition < backup.<lambda>": "backups",
    "file: checkpoints.write_offset_checkpoint < checkpoints.raise_offsets": "compaction",
    "file: checkpoints.write_offset_checkpoint < cleaner_checkpoint.announce_cleaning": (
        "compaction"
    ),
    "file: checkpoints.write_offset_checkpoint < cleaner_checkpoint.record_cleaner_offset": (
        "compaction"
    ),
    "file: cleaned_segments._close_log < cleaned_segments.finish": "compaction",
    "file: cleaned_segments._write_indexes < cleaned_segments.finish": "compaction",
    "file: closing._write_checkpoints < closing.finish": "several_batches",
    "file: directory.read_or_make_identity < opening._begin_recovery": "one_append",
    "file: handle._sync_locked < handle.sync": "one_append",
    "file: producer_snapshot.write_snapshot < producer_tracker._save": "one_append",
    "file: sync._sync_file < sync.sync_segments_locked": "appends",
    "file: tearing.copy_range < rewriting.copy_segment": "failed_syncs",
    "file: unclean_recovery._sync_file < unclean_recovery._sync_survivors": "broker_between",
    "file: unclean_recovery._write_indexes < unclean_recovery._rebuild_indexes": "retention",
    "log directory: closing.finish < engine.close_now": "appends",
    "log directory: sync.sync_names < sync.sync_segments_locked": "one_append",
    "parent directory: opening._begin_recovery < opening.open_directory": "born_twice",
    "log directory: sync.sync_names < poison_recovery.recover_poisoned": "failed_syncs",
    "log directory: checkpoints.write_offset_checkpoint < checkpoints.raise_offsets": "compaction",
    "partition folder: segment_swap.swap_in_locked < compaction.compact_log": "compaction",
    "partition folder: sync.sync_names < sync.sync_segments_locked": "one_append",
    "partition folder: sync.sync_names < unclean_recovery._sync_survivors": "appends",
    "partition folder: sync.sync_segments_locked < partition_sync._sync_segments": "rolls",
}

SPARE = {
    "log directory: checkpoints.write_offset_checkpoint < cleaner_checkpoint.announce_cleaning": (
        "a log that is compacted is opened as one; only if that is changed does it matter"
    ),
    "log directory: checkpoints.write_offset_checkpoint"
    " < cleaner_checkpoint.record_cleaner_offset": "what is compacted is looked at once more",
    "partition folder: cleaned_segments.finish < log_cleaner._clean_group": (
        "a name that was never there needs no undoing, and its rename is synced"
    ),
    "file: closing.finish < engine.close_now": "the clean mark counts by being there",
    "file: sync.sync_segments_locked < partition_sync._sync_segments": (
        "the same files are synced by name; these descriptors are for hearing of errors"
    ),
    "file: tearing.copy_range < tearing._keep_tail": "a cut tail is kept as a courtesy",
    "file: leader_epochs.write_leader_epochs < unclean_recovery._restore_epochs": (
        "they are rebuilt from the batches"
    ),
    "file: checkpoints.write_offset_checkpoint < recovering._keep_marks": (
        "without a mark everything is scanned; it only tells bit rot from a torn tail"
    ),
}


def explore(
    name: str,
    door: type[MemoryFilesystem] = MemoryFilesystem,
    states: int = 3000,
    seed: int = 1,
) -> Violation | None:
    return Explorer(name, STORIES[name], Plan(states=states), seed, after=more, door=door).run()


@pytest.mark.parametrize(
    ("name", "door"),
    [
        ("one_append", forgetting.NoDataSync),
        ("one_append", forgetting.NoDirectorySync),
        ("closes", forgetting.RenameFirst),
        ("closes", forgetting.CopyInsteadOfRename),
    ],
)
def test_gross_bugs_are_caught(name: str, door: type[MemoryFilesystem]) -> None:
    assert explore(name, door) is not None


@pytest.mark.parametrize("site", NEEDED)
def test_each_needed_sync_is_missed_when_forgotten(site: str) -> None:
    door = forgetting.forgetting(site)
    found = any(explore(NEEDED[site], door, states=2000, seed=seed) for seed in range(1, 7))
    assert site in door.sites, f"{site} is asked for no more: did it move?"
    assert found, "nothing broke without it"


@pytest.mark.parametrize("site", SPARE)
def test_spare_syncs_are_still_there(site: str) -> None:
    door = forgetting.forgetting("")
    for name in ("unsynced_appends", "closes", "rolls", "compaction"):
        assert explore(name, door, states=200) is None
    assert site in door.sites, f"{site} is asked for no more: did it move?"


def test_recovery_without_checksums_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def unchecked(source: Any, scan: Any, **arguments: Any) -> None:
        segment_scan.scan_on(source, scan, **{**arguments, "check_crc_from": 1 << 62})

    monkeypatch.setattr(halved_scan, "scan_on", unchecked)
    assert explore("appends") is not None


def test_believing_the_slots_after_a_power_cut_is_caught() -> None:
    class SameBoot(MemoryFilesystem):
        """Every boot looks like the last one."""

        def boot_id(self) -> bytes:
            return bytes(16)

    assert explore("appends", SameBoot) is not None


def test_a_recovery_that_cuts_nothing_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unclean_recovery, "cut_tail", lambda *_: unclean_recovery.TornTail())
    assert explore("appends") is not None


def test_a_former_backup_that_goes_before_the_new_one_has_its_name_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its files are removed while a power cut can still undo the exchange of names."""

    def put_in_place(self: BackupPlace) -> None:
        if self.former is None:
            self._filesystem.rename(self.building, self.path)
        else:
            self._filesystem.exchange(self.building, self.path)
            backup_place.remove_tree(self._filesystem, self.building)
        self.is_in_place = True
        self._filesystem.sync_directory("/")

    monkeypatch.setattr(BackupPlace, "put_in_place", put_in_place)
    assert explore("backups") is not None


def test_links_that_are_followed_by_nothing_on_the_disk_are_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A segment that a power cut makes the last one again is appended to: for both."""
    genuine = backup_partition._segment_files

    def segment_files(*arguments: Any) -> Any:
        return [file._replace(is_final=file.name.endswith(".log")) for file in genuine(*arguments)]

    monkeypatch.setattr(backup_partition, "_segment_files", segment_files)
    monkeypatch.setattr(recovery, "unshare", lambda *_: None)
    assert explore("backups") is not None


def test_a_recovery_that_takes_a_hole_for_compactions_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What nobody synced is lost from the first hole on, also of a log that may have gaps."""

    def continues(_: Any, base_offset: int, end: int, *, is_first: bool) -> bool:
        return is_first or base_offset >= end

    monkeypatch.setattr(unclean_recovery.UncleanRecovery, "_continues", continues)
    assert explore("compaction") is not None


def test_settings_that_are_not_synced_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = TopicConfigs.alter

    def alter(self: Any, changes: Any, **how: Any) -> Any:
        change = self._metadata.change
        with monkeypatch.context() as patch:
            patch.setattr(self._metadata, "change", lambda decide, **_: change(decide, sync=False))
            return genuine(self, changes, **how)

    monkeypatch.setattr(TopicConfigs, "alter", alter)
    assert explore("settings_change") is not None


def test_settings_that_change_one_by_one_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = TopicConfigs.alter

    def alter(self: Any, changes: Any, **how: Any) -> Any:
        ((topic, settings),) = changes.items()
        for name, value in settings.items():
            found = genuine(self, {topic: {name: value}}, **how)
        return found

    monkeypatch.setattr(TopicConfigs, "alter", alter)
    assert explore("settings_change") is not None


def test_a_log_start_that_is_not_recorded_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(_: Any, logs: Any) -> dict[Any, int]:
        return {log: log.log_start for log in logs}

    monkeypatch.setattr(delete_records, "record_log_starts", forget)
    assert explore("records_are_deleted") is not None
