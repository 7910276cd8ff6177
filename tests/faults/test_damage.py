"""A file cut anywhere, any bit flipped: an error that says so, and never wrong data.

The directory was closed cleanly, so that nothing of it may be missing: what is not there, or not
as it was, is an error of the read that meets it, of the opening, or of nobody because it did
not matter.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import streamlog
from streamlog.errors import StreamlogError
from tests.faults import reference
from tests.faults.reference import Content, WrongDataError

SHARED = "streamlog.shared"


class Patient:
    """The reference directory, which a test damages and puts back as it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: Content = reference.build(str(path))
        self.files = reference.read_files(str(path))

    def restore(self, name: str) -> None:
        self.path.joinpath(name).write_bytes(self.files[name])

    def restore_all(self) -> None:
        shutil.rmtree(self.path)
        for name, data in self.files.items():
            self.path.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
            self.path.joinpath(name).write_bytes(data)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    root = Path("/dev/shm") if Path("/dev/shm").is_dir() else tmp_path_factory.getbasetemp()
    path = root / f"streamlog-patient-{random.randrange(1 << 60):x}"
    try:
        yield Patient(path)
    finally:
        shutil.rmtree(path)


Damage = tuple[str, int, Callable[[bytes], bytes]]


def flips(patient: Patient, step: int) -> Iterator[Damage]:
    """A bit of each `step`-th byte; where a file is mostly empty, of what is not."""
    source = random.Random(step)
    for name, data in sorted(patient.files.items()):
        positions = (
            [n for n, byte in enumerate(data) if byte] if name == SHARED else range(len(data))
        )
        for position in positions[source.randrange(step) :: step]:
            bit = 1 << source.randrange(8)

            def flip(data: bytes, at: int = position, bit: int = bit) -> bytes:
                return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]

            yield name, position, flip


def cuts(patient: Patient, step: int) -> Iterator[Damage]:
    source = random.Random(step)
    for name, data in sorted(patient.files.items()):
        for position in range(source.randrange(step) % (len(data) or 1), len(data), step):
            if name == SHARED and position > 8192:
                break
            yield name, position, lambda data, at=position: data[:at]


def zeroed(patient: Patient, step: int) -> Iterator[Damage]:
    """A run of 64 bytes is zeros, as after a sector was lost."""
    for name, data in sorted(patient.files.items()):
        for position in range(0, min(len(data), 8192), step):

            def blank(data: bytes, at: int = position) -> bytes:
                return (data[:at] + bytes(64) + data[at + 64 :])[: len(data)]

            yield name, position, blank


def examine(patient: Patient, *, read_only: bool) -> bool:
    """Open, read, verify. Whether something was said to be wrong."""
    try:
        with streamlog.open(patient.path, read_only=read_only) as log:
            found = [str(finding) for finding in log.verify()]
            complete = reference.look(log, patient.content)
            report = log.engine().report
            return bool(found) or not complete or bool(report and report.problems)
    except StreamlogError:
        return True


KINDS = {"flip": flips, "cut": cuts, "zeros": zeroed}


def damage_and_examine(patient: Patient, kind: str, step: int, *, read_only: bool) -> set[str]:
    """Try every damage of a kind; the files in which some of it was noticed."""
    noticed = set()
    for name, position, change in KINDS[kind](patient, step):
        data = change(patient.files[name])
        if data == patient.files[name]:
            continue
        patient.path.joinpath(name).write_bytes(data)
        try:
            if examine(patient, read_only=read_only):
                noticed.add(name)
        except BaseException as error:
            error.add_note(f"{kind} in {name} at byte {position}")
            raise
        finally:
            if read_only:
                patient.restore(name)
            else:
                patient.restore_all()
    return noticed


STEPS = {"flip": 19, "cut": 37, "zeros": 64}


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_never_returned_as_data(patient: Patient, kind: str, read_only: bool) -> None:
    noticed = damage_and_examine(patient, kind, STEPS[kind], read_only=read_only)
    logs = {name for name in patient.files if name.endswith(".log")}
    assert logs - noticed == set()


@pytest.mark.soak
@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_anywhere(patient: Patient, kind: str, read_only: bool) -> None:
    damage_and_examine(patient, kind, 1, read_only=read_only)


def test_every_flipped_bit_of_a_record_is_noticed(patient: Patient) -> None:
    """Below the durable mark each bit that the checksum covers is worth an error."""
    name = f"flights-0/{0:020d}.log"
    data = patient.files[name]
    covered = [*range(8, 12), *range(16, 61), *range(61, 61 + 40)]
    for position in covered:
        for bit in range(8):
            changed = data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1 :]
            patient.path.joinpath(name).write_bytes(changed)
            try:
                assert examine(patient, read_only=True), (position, bit)
            finally:
                patient.restore(name)


def test_the_examination_sees_wrong_data(patient: Patient) -> None:
    """The canary: content that was never written is found out."""
    place, entries = next(iter(patient.content.items()))
    wrong = [entries[0]._replace(key=b"another"), *entries[1:]]
    with streamlog.open(patient.path, read_only=True) as log:
        assert reference.look(log, patient.content)
        with pytest.raises(WrongDataError):
            reference.look(log, {place: wrong})
        with pytest.raises(WrongDataError):
            reference.look(log, {place: [*entries, entries[-1]]})
