"""A stand-in for the memoryview of a shared map, which journals every store.

A power cut may write a mapped page back at any instant, and a killed process may die between
any two stores; so each store is an operation of its own.
"""

from __future__ import annotations

from typing import Literal

from streamlog.testing.journal import Operation, Write


class RecordedMap:
    """The bytes of a map; `cast` gives words, as a memoryview's does."""

    def __init__(self, view: memoryview, file: int, journal: list[Operation]) -> None:
        self._view = view
        self._file = file
        self._journal = journal

    def __len__(self) -> int:
        return len(self._view)

    def cast(self, code: Literal["q", "I"]) -> RecordedWords:
        """The same bytes as words of a `struct` code."""
        return RecordedWords(self, self._view.cast("B").cast(code))

    def stored(self, position: int, data: bytes) -> None:
        """Journal a store."""
        self._journal.append(Write(self._file, position, data, is_store=True))


class RecordedWords:
    """Words of a map: read like a memoryview's, and journalled when they are stored."""

    def __init__(self, owner: RecordedMap, words: memoryview[int]) -> None:
        self._owner = owner
        self._words = words

    def __len__(self) -> int:
        return len(self._words)

    def __getitem__(self, index: int | slice) -> object:
        return self._words[index]

    def __setitem__(self, index: int, value: int) -> None:
        self._words[index] = value
        width = self._words.itemsize
        self._owner.stored(index * width, bytes(self._words[index : index + 1].cast("B")))

    def cast(self, code: Literal["B"]) -> RecordedMap:
        """The same bytes, to be cast again."""
        return self._owner
