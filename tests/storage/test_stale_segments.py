"""Segments that are not what a reader takes them for: left by the dead, or changed meanwhile."""

from __future__ import annotations

import pytest

from streamlog.record.kernel import RecordBatch
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.log_reader import LogReader, SegmentsChangedError
from tests.storage.folder_builder import Folder, three_segments

CHANGES = [
    {"log_start": 3},
    {"restructuring": 1},
    {"generation": 9, "swap_generation": 1},
    {"generation": 9, "path_generation": 1},
]


def open_reader(folder, now):
    reader = LogReader(OS_FILESYSTEM, str(folder.path), "orders", 0, now=now, writable=True)
    reader.configure(map_length=1 << 20, has_gaps=False)
    return reader


def test_the_empty_file_hides_no_record(tmp_path):
    """A writer dies in a roll, and the next one goes on in the old segment."""
    folder = Folder(tmp_path / "orders-0")
    folder.append_many(3)
    folder.file(".log", folder.next_offset).touch()
    folder.append_many(3)
    folder.roll()
    folder.append_many(2)
    folder.close()
    state = folder.recover().state
    folder.file(".log", 9).touch()  # recovery removes it; beside others nobody does
    reader = open_reader(folder, lambda: state)
    for placed in folder.batches:
        fetched = reader.fetch(state, placed.base_offset, 1, None)
        assert RecordBatch(fetched.view).base_offset == placed.base_offset
    reader.close()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("looks_before", [0, 1])
def test_what_is_found_while_segments_change_is_not_believed(tmp_path, change, looks_before):
    """The first look is behind the listing, the second behind the opening."""
    folder = Folder(tmp_path / "orders-0")
    three_segments(folder)
    state = folder.recover().state
    looks = [state] * looks_before
    reader = open_reader(folder, lambda: looks.pop() if looks else state._replace(**change))
    with pytest.raises(SegmentsChangedError):
        reader.fetch(state, folder.bases[1], 1, None)
    reader.close()


def test_a_roll_meanwhile_makes_no_difference(tmp_path):
    folder = Folder(tmp_path / "orders-0")
    three_segments(folder)
    state = folder.recover().state
    rolled = state._replace(generation=9, base_offset=state.log_end, end_position=0)
    reader = open_reader(folder, lambda: rolled)
    fetched = reader.fetch(state, folder.bases[1], 1, None)
    assert RecordBatch(fetched.view).base_offset == folder.bases[1]
    reader.close()
