"""Verification: silent over what is sound, and exact about every planted fault."""

from __future__ import annotations

import struct

import pytest
from crc32c import crc32c

from streamlog.storage.checkpoints import format_offset_checkpoint
from streamlog.storage.filesystem import OS_FILESYSTEM, Filesystem
from streamlog.storage.partition_metadata import format_partition_metadata
from streamlog.storage.properties import MetaProperties, format_meta_properties
from streamlog.storage.verification import verify_directory
from tests.storage.folder_builder import NOW, Folder, contents, cut, flip, zero


class Directory:
    """A closed log directory with one partition of three segments."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        self.write("meta.properties", format_meta_properties(MetaProperties("c" * 22, 0, "d" * 22)))
        self.write("streamlog.properties", b"format=2\n")
        self.write(".kafka_cleanshutdown", b"")
        self.folder = Folder(path / "orders-0")
        self.write("orders-0/partition.metadata", format_partition_metadata(b"\1" * 16))
        self.write("orders-0/leader-epoch-checkpoint", b"0\n1\n0 0\n")
        for number in range(3):
            if number:
                self.folder.roll()
            self.folder.append_many(40)
        self.folder.close()
        self.mark(self.folder.next_offset)

    def write(self, name, data):
        (self.path / name).write_bytes(data)

    def mark(self, offset, topic="orders"):
        data = format_offset_checkpoint({(topic, 0): offset})
        self.write("recovery-point-offset-checkpoint", data)

    def verify(self, **settings):
        return list(verify_directory(OS_FILESYSTEM, str(self.path), **settings))


@pytest.fixture
def directory(tmp_path):
    return Directory(tmp_path / "log")


def test_a_sound_directory_has_no_findings_and_is_not_touched(directory):
    before = contents(directory.folder.path)
    assert directory.verify() == []
    assert contents(directory.folder.path) == before


def test_compressed_batches_and_large_ones_are_sound(directory):
    directory.folder.append(value=b"z" * 3_000_000)
    for codec in (1, 2, 3, 4):
        directory.folder.append(codec=codec)
    directory.folder.close()
    directory.mark(directory.folder.next_offset)
    assert directory.verify() == []


def test_progress_reaches_the_total(directory):
    seen = []
    directory.verify(progress=lambda done, total: seen.append((done, total)))
    size = sum(path.stat().st_size for path in directory.folder.path.glob("*.log"))
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)


def test_every_flipped_bit_of_a_batch_is_found(directory):
    folder = directory.folder
    hit = folder.batches[50]
    path = folder.file(".log", hit.segment)
    whole = path.read_bytes()
    for position in range(hit.position, hit.end, 3):
        path.write_bytes(whole)
        flip(path, position, bit=position % 8)
        errors = [one for one in directory.verify() if one.severity == "error"]
        places = [one for one in errors if one.file == str(path)]
        assert places, position
        assert {(one.topic, one.partition) for one in errors} == {("orders", 0)}
        # A wrong base offset is outside the CRC: it may show at the batch behind it only.
        assert places[0].position in (hit.position, hit.end), position


def test_damage_is_named_and_verification_goes_on_behind_it(directory):
    folder = directory.folder
    one, other = folder.batches[10], folder.batches[90]
    zero(folder.file(".log", one.segment), one.position, one.end)
    flip(folder.file(".log", other.segment), other.end - 1)
    found = [(f.kind, f.position, f.offset) for f in directory.verify() if f.file.endswith(".log")]
    assert ("no_batch", one.position, one.base_offset) in found
    assert ("bad_batch", other.position, other.base_offset) in found
    assert len(found) == 2


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
def test_every_flipped_bit_of_an_index_is_found(directory, suffix):
    path = directory.folder.file(suffix)
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole)
        flip(path, position, bit=position % 8)
        found = directory.verify()
        assert [one.kind for one in found if one.file == str(path)], position
        assert {one.file for one in found} == {str(path)}


def test_a_time_entry_that_a_batch_before_it_exceeds(directory):
    folder = directory.folder
    folder.append(1, timestamp=NOW + 9_000_000)
    late = folder.append(1, timestamp=NOW + 8_000_000)
    folder.close()
    directory.mark(folder.next_offset)
    path = folder.file(".timeindex")
    entry = struct.pack(">qi", late.max_timestamp, late.base_offset - folder.segment)
    path.write_bytes(path.read_bytes() + entry)
    assert [(one.kind, one.file) for one in directory.verify()] == [("index", str(path))]


def test_a_missing_index_is_an_error_when_closed(directory):
    directory.folder.file(".timeindex", 0).unlink()
    assert [(one.kind, one.severity) for one in directory.verify()] == [("index", "error")]


class TestAfterACrash:
    def test_a_torn_tail_is_a_warning(self, directory):
        (directory.path / ".kafka_cleanshutdown").unlink()
        folder = directory.folder
        folder.append(1)
        cut(folder.file(".log"), folder.batches[-1].end - 5)
        found = [one for one in directory.verify() if one.file.endswith(".log")]
        assert [(one.kind, one.severity) for one in found] == [("torn_tail", "warning")]

    def test_but_records_that_were_durable_and_are_gone_are_an_error(self, directory):
        (directory.path / ".kafka_cleanshutdown").unlink()
        folder = directory.folder
        cut(folder.file(".log"), folder.batches[-1].position)
        assert "missing_records" in [one.kind for one in directory.verify()]

    def test_what_is_not_published_is_nobodys_yet(self, directory):
        folder = directory.folder
        state = folder.recover(clean=True, recovery_point=folder.next_offset).state
        with folder.file(".log").open("ab") as log:
            log.write(b"being written")
        with folder.file(".index").open("ab") as index:
            index.write(b"12345678")
        assert directory.verify(published={("orders", 0): state}) == []


class TestMissingOffsets:
    """Compaction takes offsets out, and nothing else does."""

    def missing(self, directory, **settings):
        found = [one for one in directory.verify(**settings) if one.kind == "missing_records"]
        return [(one.severity, one.file, one.offset) for one in found]

    def remove(self, folder, number):
        for suffix in (".log", ".index", ".timeindex"):
            folder.file(suffix, folder.bases[number]).unlink()

    def cleaned(self, directory, *topics):
        offsets = {(topic, 0): 1 for topic in topics}
        directory.write("cleaner-offset-checkpoint", format_offset_checkpoint(offsets))

    def test_a_segment_in_the_middle(self, directory):
        _, second, third = directory.folder.bases
        following = str(directory.folder.file(".log", third))
        self.remove(directory.folder, 1)
        assert self.missing(directory) == [("error", following, second)]
        state = directory.folder.recover(
            clean=True, recovery_point=directory.folder.next_offset
        ).state
        published = {("orders", 0): state}
        assert self.missing(directory, published=published) == [("error", following, second)]
        self.cleaned(directory, "payments")
        assert self.missing(directory) == [("error", following, second)]
        self.cleaned(directory, "orders")
        assert self.missing(directory) == []

    def test_of_a_broker_nobody_knows_what_it_compacted(self, directory):
        self.remove(directory.folder, 1)
        (directory.path / "streamlog.properties").unlink()
        assert self.missing(directory) == []

    def test_the_first_segment(self, directory):
        self.remove(directory.folder, 0)
        assert self.missing(directory) == [("error", str(directory.folder.path), -1)]

    def test_a_batch_in_a_segment(self, directory):
        folder = directory.folder
        before, gone = folder.batches[-4:-2]
        log = folder.file(".log")
        data = log.read_bytes()
        log.write_bytes(data[: gone.position] + data[gone.end :])
        lost = ("error", str(log), before.next_offset)
        assert self.missing(directory) == [lost]
        (directory.path / ".kafka_cleanshutdown").unlink()
        assert self.missing(directory) == [lost]  # below the recovery point: it was on the disk
        directory.mark(1)
        assert self.missing(directory) == [("warning", *lost[1:])]


class TestLogStart:
    def start_at(self, directory, offset):
        data = format_offset_checkpoint({("orders", 0): offset})
        directory.write("log-start-offset-checkpoint", data)

    def test_what_a_removal_left_is_a_warning_whatever_is_in_it(self, directory):
        folder = directory.folder
        self.start_at(directory, folder.bases[2] + 5)
        zero(folder.file(".log", 0), 0, 200)
        folder.file(".index", folder.bases[1]).unlink()
        directory.write("orders-0/00000000000000000007.snapshot", b"rubbish")
        found = directory.verify()
        assert [(one.kind, one.severity) for one in found] == [("below_log_start", "warning")] * 2
        assert [one.file for one in found] == [
            str(folder.file(".log", base)) for base in folder.bases[:2]
        ]
        folder.recover(clean=True, recovery_point=folder.next_offset, log_start=folder.bases[2])
        assert directory.verify() == []

    def test_a_hole_that_an_interrupted_removal_left(self, directory):
        folder = directory.folder
        self.start_at(directory, folder.bases[2])
        for suffix in (".log", ".index", ".timeindex"):
            folder.file(suffix, folder.bases[1]).unlink()
        assert [one.severity for one in directory.verify()] == ["warning"]

    @pytest.mark.parametrize(("clean", "severity"), [(True, "error"), (False, "warning")])
    def test_a_start_behind_the_end(self, directory, clean, severity):
        """Unsynced records were deleted, and then the power took them."""
        if not clean:
            (directory.path / ".kafka_cleanshutdown").unlink()
        self.start_at(directory, directory.folder.next_offset + 10)
        found = [one for one in directory.verify() if one.kind == "log_start"]
        assert [one.severity for one in found] == [severity]


class Changing(dict):
    """What is published; something is done when it is asked for a number of times."""

    def __init__(self, folder, asked, change):
        super().__init__()
        self.state = folder.recover(clean=True, recovery_point=folder.next_offset).state
        self._asked = asked
        self._change = change

    def get(self, key, default=None):
        self._asked -= 1
        if self._asked == 0:
            self._change(self)
        return self.state


class TestWhileOthersGoOn:
    @pytest.mark.parametrize("asked", range(1, 7))
    def test_segments_that_are_removed_are_no_finding(self, directory, asked):
        folder = directory.folder

        def remove_two(published):
            published.state = published.state._replace(log_start=folder.bases[2], generation=9)
            for base in folder.bases[:2]:
                for suffix in (".log", ".index", ".timeindex"):
                    folder.file(suffix, base).unlink()

        published = Changing(folder, asked, remove_two)
        assert directory.verify(published=published) == []

    @pytest.mark.parametrize("asked", range(1, 7))
    def test_nor_are_segments_that_are_exchanged(self, directory, asked):
        """The first two become one, and its indexes are not those of the old log."""
        folder = directory.folder

        def merge_two(published):
            data = b"".join(folder.file(".log", base).read_bytes() for base in folder.bases[:2])
            for suffix in (".log", ".index", ".timeindex"):
                folder.file(suffix, folder.bases[1]).unlink()
            folder.file(".log", 0).unlink()
            folder.file(".log", 0).write_bytes(data)
            folder.file(".index", 0).write_bytes(b"")
            folder.file(".timeindex", 0).write_bytes(b"")
            published.state = published.state._replace(swap_generation=1, generation=9)

        published = Changing(folder, asked, merge_two)
        assert directory.verify(published=published) == []

    def test_nor_is_a_segment_that_goes_just_before_it_is_opened(self, directory):
        folder = directory.folder
        published = Changing(folder, 0, None)

        class Removing(Filesystem):
            def file_size(self, path):
                size = super().file_size(path)
                if path == str(folder.file(".log", folder.bases[1])) and directory.is_measured:
                    published.state = published.state._replace(log_start=folder.bases[2])
                    for base in folder.bases[:2]:
                        folder.file(".log", base).unlink(missing_ok=True)
                return size

        directory.is_measured = False
        path, measured = str(directory.path), self.measured(directory)
        assert list(verify_directory(Removing(), path, measured, published=published)) == []

    @staticmethod
    def measured(directory):
        """The first progress comes when all files have been measured."""

        def progress(done, total):
            directory.is_measured = True

        return progress

    def test_but_a_file_that_only_vanishes_is(self, directory):
        folder = directory.folder
        path = folder.file(".log", folder.bases[1])
        published = Changing(folder, 3, lambda _: path.unlink())
        found = directory.verify(published=published)
        assert [(one.kind, one.file) for one in found] == [
            ("missing_file", str(path)),
            ("missing_records", str(folder.file(".log"))),
        ]


class TestFilesBeside:
    @pytest.mark.parametrize(
        ("name", "data", "kind"),
        [
            ("meta.properties", b"version=7\n", "identity"),
            ("streamlog.properties", b"format=99\n", "identity"),
            ("recovery-point-offset-checkpoint", b"0\n5\norders 0 1\n", "checkpoint"),
            ("orders-0/leader-epoch-checkpoint", b"0\n1\nx y\n", "leader_epoch"),
            ("orders-0/partition.metadata", b"version: 0", "partition_metadata"),
            ("orders-0/00000000000000000120.snapshot", b"rubbish bytes", "snapshot"),
            ("orders-0/00000000000000000120.txnindex", b"odd", "index"),
        ],
    )
    def test_each_is_read(self, directory, name, data, kind):
        directory.write(name, data)
        errors = [one for one in directory.verify() if one.severity == "error"]
        assert kind in [one.kind for one in errors]
        assert str(directory.path / name) in [one.file for one in errors]

    def test_a_wrong_epoch(self, directory):
        directory.write("orders-0/leader-epoch-checkpoint", b"0\n2\n0 0\n3 300\n")
        assert {one.kind for one in directory.verify()} == {"leader_epoch"}

    def test_a_folder_whose_records_were_durable_is_missing(self, directory):
        directory.mark(7, topic="gone")
        found = directory.verify()
        assert [(one.kind, one.severity) for one in found] == [("missing_folder", "error")]

    def test_stray_and_unknown_names(self, directory):
        for folder in ("not a partition", "orders-0.0123456789abcdef0123456789abcdef-delete"):
            (directory.path / folder).mkdir()
        directory.write("orders-0/notes.txt", b"")
        directory.write("orders-0/00000000000000000000.40.torn", b"kept")
        kinds = {(one.kind, one.severity) for one in directory.verify()}
        assert kinds == {
            ("stray_folder", "error"),
            ("leftover", "warning"),
            ("unknown_file", "warning"),
            ("torn_file", "warning"),
        }

    def test_overlapping_segments(self, directory):
        folder = directory.folder
        folder.file(".log", 300).write_bytes(folder.file(".log", 240).read_bytes())
        assert "overlap" in [one.kind for one in directory.verify()]


def test_a_record_timestamp_above_the_batch_is_found_though_the_crc_matches(directory):
    folder = directory.folder
    hit = folder.batches[-1]
    path = folder.file(".log")
    data = bytearray(path.read_bytes())
    struct.pack_into(">q", data, hit.position + 35, NOW - 10)
    crc = crc32c(bytes(data[hit.position + 21 : hit.end]))
    struct.pack_into(">I", data, hit.position + 17, crc)
    path.write_bytes(data)
    assert [(one.kind, one.offset) for one in directory.verify()] == [
        ("bad_batch", hit.base_offset)
    ]
