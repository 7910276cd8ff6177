"""A writer dies in a roll, and the next one goes on in the old segment."""

from __future__ import annotations

from streamlog.record.kernel import RecordBatch
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.log_reader import LogReader
from tests.storage.folder_builder import Folder


def test_the_empty_file_hides_no_record(tmp_path):
    folder = Folder(tmp_path / "orders-0")
    folder.append_many(3)
    folder.file(".log", folder.next_offset).touch()
    folder.append_many(3)
    folder.roll()
    folder.append_many(2)
    folder.close()
    state = folder.recover().state
    folder.file(".log", 9).touch()  # recovery removes it; beside others nobody does
    reader = LogReader(OS_FILESYSTEM, str(folder.path), "orders", 0, writable=True)
    reader.configure(map_length=1 << 20, has_gaps=False)
    for placed in folder.batches:
        fetched = reader.fetch(state, placed.base_offset, 1, None)
        assert RecordBatch(fetched.view).base_offset == placed.base_offset
    reader.close()
