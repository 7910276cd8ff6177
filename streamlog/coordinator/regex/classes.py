"""Sets of characters, of those that a topic's name can have."""

from __future__ import annotations

import string
from collections.abc import Iterable

ALPHABET = frozenset(string.ascii_letters + string.digits + "._-")
"""Kafka's alphabet of topic names: no pattern needs to tell other characters apart."""

WORD = ALPHABET - {".", "-"}
_DIGITS = frozenset(string.digits)
_LETTERS = frozenset(string.ascii_letters)
_NONE: frozenset[str] = frozenset()

ESCAPED_CLASSES = {
    "d": _DIGITS,
    "D": ALPHABET - _DIGITS,
    "w": WORD,
    "W": ALPHABET - WORD,
    "s": _NONE,
    "S": ALPHABET,
}

POSIX_CLASSES = {
    "alnum": _LETTERS | _DIGITS,
    "alpha": _LETTERS,
    "ascii": ALPHABET,
    "blank": _NONE,
    "cntrl": _NONE,
    "digit": _DIGITS,
    "graph": ALPHABET,
    "lower": frozenset(string.ascii_lowercase),
    "print": ALPHABET,
    "punct": frozenset("._-"),
    "space": _NONE,
    "upper": frozenset(string.ascii_uppercase),
    "word": WORD,
    "xdigit": frozenset(string.hexdigits),
}


def characters(low: str, high: str) -> frozenset[str]:
    """Those from `low` to `high`, both included."""
    return frozenset(character for character in ALPHABET if low <= character <= high)


def fold(found: Iterable[str]) -> frozenset[str]:
    """The same letters in both cases."""
    return frozenset(case for character in found for case in (character.lower(), character.upper()))
