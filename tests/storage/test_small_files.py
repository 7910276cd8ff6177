"""Checkpoints, properties and partition.metadata: Kafka's bytes, and nothing but them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlog.errors import CorruptDirectoryError, UnsupportedFormatError
from streamlog.storage import checkpoints, names, partition_metadata, properties
from streamlog.storage.filesystem import OS_FILESYSTEM
from streamlog.storage.format_number import FORMAT

OFFSETS = st.dictionaries(
    st.tuples(st.text("ab._-", min_size=1), st.integers(0, 2**31 - 1)), st.integers(0, 2**63 - 1)
)


class TestOffsetCheckpoints:
    def test_the_bytes_are_kafkas(self):
        data = checkpoints.format_offset_checkpoint({("orders", 0): 1042, ("orders", 1): 77})
        assert data == b"0\n2\norders 0 1042\norders 1 77\n"

    @given(OFFSETS)
    def test_they_are_read_back(self, offsets):
        data = checkpoints.format_offset_checkpoint(offsets)
        assert checkpoints.parse_offset_checkpoint(data, "f") == offsets

    def test_any_whitespace_separates_and_an_empty_file_has_none(self):
        assert checkpoints.parse_offset_checkpoint(b"0\n1\na  \t1 2\n", "f") == {("a", 1): 2}
        assert checkpoints.parse_offset_checkpoint(b"", "f") == {}

    @pytest.mark.parametrize(
        "data",
        [
            b"1\n0\n",
            b"0\n",
            b"0\n2\na 0 1\n",
            b"0\n1\na 0 1\nb 0 1\n",
            b"0\n1\na 0\n",
            b"0\n1\na 0 1 2\n",
            b"0\n1\na x 1\n",
            b"0\n1\na 0 -1\n",
            b"0\n1\na 0 1_0\n",
            b"\xff\xfe",
        ],
    )
    def test_half_a_file_is_refused_whole(self, data):
        with pytest.raises(CorruptDirectoryError) as caught:
            checkpoints.parse_offset_checkpoint(data, "the-file")
        assert caught.value.file == "the-file"

    def test_missing_is_empty_and_writing_replaces(self, tmp_path):
        path = str(tmp_path / "checkpoint")
        assert checkpoints.read_offset_checkpoint(OS_FILESYSTEM, path) == {}
        for offset in (1, 2):
            checkpoints.write_offset_checkpoint(OS_FILESYSTEM, path, {("a", 0): offset})
        assert checkpoints.read_offset_checkpoint(OS_FILESYSTEM, path) == {("a", 0): 2}
        assert [found.name for found in tmp_path.iterdir()] == ["checkpoint"]

    def test_what_is_said_of_a_deleted_topic_is_forgotten(self, tmp_path):
        """All checkpoints know topics by name only, the cleaner's too."""
        files = {name for name in vars(names).values() if str(name).endswith("-offset-checkpoint")}
        assert len(files) == 4
        for name in files:
            offsets = {("gone", 0): 5, ("gone", 1): 6, ("stays", 0): 7}
            checkpoints.write_offset_checkpoint(OS_FILESYSTEM, str(tmp_path / name), offsets)
        checkpoints.forget_topic(OS_FILESYSTEM, str(tmp_path), "gone")
        for name in files:
            found = checkpoints.read_offset_checkpoint(OS_FILESYSTEM, str(tmp_path / name))
            assert found == {("stays", 0): 7}, name


class TestProperties:
    def test_javas_own_dialect(self):
        text = (
            b"#Wed Nov 23 10:35:00 UTC 2026\n! also a comment\n  key = value\nother:x\nbare\n"
            b"spaced out\nlong=a\\\n   b\nescaped\\=key=\\u00e9\\t\\\\\nwindows=1\r\nodd=c\\\\\n"
        )
        assert properties.parse_properties(text) == {
            "key": "value",
            "other": "x",
            "bare": "",
            "spaced": "out",
            "long": "ab",
            "escaped=key": "é\t\\",
            "windows": "1",
            "odd": "c\\",
        }

    @given(st.dictionaries(st.text(min_size=1), st.text()))
    def test_anything_is_read_back(self, pairs):
        joined = {
            key.encode("utf-16", "surrogatepass").decode("utf-16", "replace"): value.encode(
                "utf-16", "surrogatepass"
            ).decode("utf-16", "replace")
            for key, value in pairs.items()
        }
        data = properties.format_properties(joined, comment="hello")
        found = properties.parse_properties(data)
        repaired = {as_text(key): as_text(value) for key, value in found.items()}
        assert repaired == joined

    def test_meta_properties(self, tmp_path):
        meta = properties.MetaProperties("AQIDBAUGBwgJCgsMDQ4PEA", 0, "c" * 22)
        (tmp_path / "meta.properties").write_bytes(properties.format_meta_properties(meta))
        assert properties.read_meta_properties(OS_FILESYSTEM, str(tmp_path)) == meta

    @pytest.mark.parametrize(
        "data", [b"version=0\nbroker.id=1\n", b"version=1\n", b"version=1\ncluster.id=x\nnode.id=y"]
    )
    def test_other_versions_and_gaps_are_refused(self, data):
        with pytest.raises(CorruptDirectoryError):
            properties.parse_meta_properties(data)

    def test_a_newer_format_says_so(self, tmp_path):
        assert properties.read_streamlog_format(OS_FILESYSTEM, str(tmp_path)) is None
        properties.write_streamlog_format(OS_FILESYSTEM, str(tmp_path))
        assert properties.read_streamlog_format(OS_FILESYSTEM, str(tmp_path)) == FORMAT
        (tmp_path / "streamlog.properties").write_text(f"format={FORMAT + 1}\n")
        with pytest.raises(UnsupportedFormatError) as caught:
            properties.read_streamlog_format(OS_FILESYSTEM, str(tmp_path))
        assert (caught.value.found, caught.value.known) == (FORMAT + 1, FORMAT)


def as_text(units: str) -> str:
    """Java writes what is outside the basic plane as two escapes: join them."""
    return units.encode("utf-16", "surrogatepass").decode("utf-16")


class TestPartitionMetadata:
    def test_the_bytes_are_kafkas(self):
        topic_id = bytes(range(1, 17))
        data = partition_metadata.format_partition_metadata(topic_id)
        assert data == b"version: 0\ntopic_id: AQIDBAUGBwgJCgsMDQ4PEA"
        assert partition_metadata.parse_partition_metadata(data) == topic_id

    @given(st.binary(min_size=16, max_size=16))
    def test_uuids_are_read_back(self, uuid):
        text = partition_metadata.encode_uuid(uuid)
        assert len(text) == 22
        assert partition_metadata.decode_uuid(text) == uuid

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
            b"version: -1\ntopic_id: AQIDBAUGBwgJCgsMDQ4PEA",
            b"topic_id: AQIDBAUGBwgJCgsMDQ4PEA",
            b"version: 0\ntopic_id: short",
            b"version: 0\ntopic_id: AQIDBAUGBwgJCgsMDQ4PE!",
            b"\xff\xff",
        ],
    )
    def test_no_id_is_no_id(self, data):
        with pytest.raises(CorruptDirectoryError):
            partition_metadata.parse_partition_metadata(data)

    def test_a_missing_file(self, tmp_path):
        assert partition_metadata.read_partition_metadata(OS_FILESYSTEM, str(tmp_path)) is None
