"""Kafka's dump tool, and a strict reading of what it prints."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tests.interop.rig.jars import KafkaJars

_TOOL = "org.apache.kafka.tools.DumpLogSegments"

_BATCH = re.compile(
    r"baseOffset: (?P<base_offset>\d+) lastOffset: (?P<last_offset>\d+)"
    r" count: (?P<record_count>\d+)"
    r" baseSequence: (?P<base_sequence>-?\d+) lastSequence: (?P<last_sequence>-?\d+)"
    r" producerId: (?P<producer_id>-?\d+) producerEpoch: (?P<producer_epoch>-?\d+)"
    r" partitionLeaderEpoch: (?P<leader_epoch>-?\d+) isTransactional: (?P<transactional>\w+)"
    r" isControl: (?P<control>\w+) deleteHorizonMs: \S+ position: (?P<position>\d+)"
    r" (?P<timestamp_type>CreateTime|LogAppendTime): (?P<max_timestamp>-?\d+)"
    r" size: (?P<size>\d+) magic: 2 compresscodec: (?P<codec>\w+) crc: \d+"
    r" isvalid: (?P<valid>\w+)"
)
_RECORD = re.compile(
    r"\| offset: (?P<offset>\d+) (?P<timestamp_type>CreateTime|LogAppendTime): (?P<timestamp>-?\d+)"
    r" keySize: (?P<key_size>-?\d+) valueSize: (?P<value_size>-?\d+) sequence: (?P<sequence>-?\d+)"
    r" headerKeys: \[(?P<header_keys>[^\]]*)\](?: key: (?P<key>.*?))??(?: payload: (?P<value>.*))?"
    r"(?: (?P<control>(?:LeaderChange|SnapshotHeader|SnapshotFooter|KRaftVersion|KRaftVoters"
    r"|endTxnMarker):? .*))?"
)
_OFFSET_ENTRY = re.compile(r"offset: (\d+) position: (\d+)")
_TIME_ENTRY = re.compile(r"timestamp: (\d+) offset: (\d+)")
_PRODUCER = re.compile(
    r"producerId: (?P<producer_id>\d+) producerEpoch: (?P<producer_epoch>\d+)"
    r" coordinatorEpoch: (?P<coordinator_epoch>-?\d+) currentTxnFirstOffset: \S+"
    r" lastTimestamp: (?P<last_timestamp>-?\d+) firstSequence: (?P<first_sequence>-?\d+)"
    r" lastSequence: (?P<last_sequence>-?\d+) lastOffset: (?P<last_offset>-?\d+)"
    r" offsetDelta: (?P<offset_delta>\d+) timestamp: (?P<timestamp>-?\d+)"
)
_HARMLESS = re.compile(
    r"Log starting offset: \d+|Snapshot end offset: \d+, epoch: \d+"
    r"|\S+ is empty\.|\S+ passed sanity check\."
)

# Of every segment that does not begin at offset 0 the tool of 4.3 says that its first record does
# not follow offset -1. Its complaint about other pairs of the same file goes on behind that line.
_FALSE_ALARM = re.compile(
    r"^Non-consecutive offsets in (?=\S*/0*(\d+)\.log\n  -1 is followed by \1\n)"
    r"\S+\n  -1 is followed by \d+\n(?!  )",
    re.MULTILINE,
)


class DumpedBatch(NamedTuple):
    """A batch's header as Kafka reads it. `timestamp_type` is CreateTime or LogAppendTime."""

    base_offset: int
    last_offset: int
    record_count: int
    base_sequence: int
    last_sequence: int
    producer_id: int
    producer_epoch: int
    leader_epoch: int
    transactional: bool
    control: bool
    position: int
    timestamp_type: str
    max_timestamp: int
    size: int
    codec: str


class DumpedRecord(NamedTuple):
    """A record as Kafka decodes it; key and value as text, None for null."""

    offset: int
    timestamp_type: str
    timestamp: int
    sequence: int
    header_keys: tuple[str, ...]
    key: str | None
    value: str | None
    control: str | None


class DumpedProducer(NamedTuple):
    """An entry of a producer-state snapshot."""

    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    last_timestamp: int
    first_sequence: int
    last_sequence: int
    last_offset: int
    offset_delta: int
    timestamp: int


class DumpedFile:
    """What the tool read in one file; only the lists of its kind are filled."""

    def __init__(self) -> None:
        self.batches: list[DumpedBatch] = []
        self.records: list[DumpedRecord] = []
        self.offset_entries: list[tuple[int, int]] = []
        self.time_entries: list[tuple[int, int]] = []
        self.producers: list[DumpedProducer] = []


class Dump(NamedTuple):
    """One run of the tool: its files by path, and its complaints, none of them if all is well."""

    files: dict[Path, DumpedFile]
    problems: list[str]


class DumpTool:
    """Runs the tool over many files at once: starting Java costs more than reading them."""

    def __init__(self, jars: KafkaJars) -> None:
        self._jars = jars

    def dump(self, paths: Iterable[Path], *options: str) -> Dump:
        """Read `.log`, `.index`, `.timeindex`, `.snapshot` and `.checkpoint` files, deeply.

        `options` are the tool's own, such as `--cluster-metadata-decoder`.
        """
        return self._run(paths, "--deep-iteration", "--print-data-log", *options)

    def check(self, paths: Iterable[Path]) -> list[str]:
        """Complaints about files whose records may hold anything, so that they are not printed."""
        return self._run(paths, "--deep-iteration", "--skip-record-metadata").problems

    def check_sanity(self, paths: Iterable[Path]) -> list[str]:
        """Complaints of the check that a broker makes of index files when it starts."""
        return self._run(paths, "--index-sanity-check").problems

    def verify_indexes(self, paths: Iterable[Path]) -> list[str]:
        """Complaints of comparing every index entry with the batch that it points to."""
        return self._run(paths, "--verify-index-only").problems

    def _run(self, paths: Iterable[Path], *options: str) -> Dump:
        names = [str(path) for path in paths]
        assert names, "the dump tool needs a file"
        assert not any("," in name or " " in name for name in names), names
        outcome = self._jars.run(_TOOL, "--files", ",".join(names), *options)
        # What it compares it reports on standard error, in free text; a crash is seen there too.
        problems = _FALSE_ALARM.sub("", outcome.stderr).splitlines()
        if outcome.returncode != 0:
            problems.append(f"the dump tool ended with {outcome.returncode}")
        files = _parse(outcome.stdout.split("\n"), problems)
        problems += [f"not dumped: {name}" for name in names if Path(name) not in files]
        return Dump(files, problems)


def partition_files(directory: Path) -> list[Path]:
    """The files of a partition's directory that the tool understands, in order."""
    kinds = {".log", ".index", ".timeindex", ".snapshot"}
    return sorted(path for path in directory.iterdir() if path.suffix in kinds)


def _parse(lines: list[str], problems: list[str]) -> dict[Path, DumpedFile]:
    files: dict[Path, DumpedFile] = {}
    current = DumpedFile()
    for line in lines:
        if line.startswith("Dumping "):
            current = files[Path(line.removeprefix("Dumping "))] = DumpedFile()
        elif line and not _HARMLESS.fullmatch(line) and not _read_line(line, current, problems):
            problems.append(line)
    return files


def _read_line(line: str, file: DumpedFile, problems: list[str]) -> bool:
    """Put one line where it belongs; False if it is of no known form."""
    if line.startswith("| ") and (match := _RECORD.fullmatch(line)):
        if (match["value"] or "").startswith("Error at "):  # a decoder did not understand it
            problems.append(line)
        file.records.append(_record(match))
    elif match := _BATCH.fullmatch(line):
        if match["valid"] != "true":
            problems.append(line)
        file.batches.append(_batch(match))
    elif match := _OFFSET_ENTRY.fullmatch(line):
        file.offset_entries.append((int(match[1]), int(match[2])))
    elif match := _TIME_ENTRY.fullmatch(line):
        file.time_entries.append((int(match[1]), int(match[2])))
    elif match := _PRODUCER.fullmatch(line):
        file.producers.append(DumpedProducer(*(int(match[f]) for f in DumpedProducer._fields)))
    else:
        return False
    return True


def _batch(match: re.Match[str]) -> DumpedBatch:
    texts = {"timestamp_type", "codec"}
    flags = {"transactional", "control"}
    values: dict[str, Any] = {}
    for field in DumpedBatch._fields:
        text = match[field]
        values[field] = text if field in texts else text == "true" if field in flags else int(text)
    return DumpedBatch(**values)


def _record(match: re.Match[str]) -> DumpedRecord:
    keys = match["header_keys"]
    return DumpedRecord(
        offset=int(match["offset"]),
        timestamp_type=match["timestamp_type"],
        timestamp=int(match["timestamp"]),
        sequence=int(match["sequence"]),
        header_keys=tuple(keys.split(",")) if keys else (),
        key=match["key"] if int(match["key_size"]) >= 0 else None,
        value=match["value"] if int(match["value_size"]) >= 0 else None,
        control=match["control"],
    )
