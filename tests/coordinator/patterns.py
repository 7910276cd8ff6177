"""Patterns that are of the syntax, made at random."""

from __future__ import annotations

import random

_ATOMS = ["a", "b", ".", "-", "_", "o", "r", "d", "[ab]", "[^a]", "[a-d0-9]", r"\d", r"\w", r"\W"]
_ATOMS += [r"\.", r"\S", "^", "$", r"\b", r"\B", r"\A", r"\z", "[[:alnum:]]", r"[\d_-]", r"\x61"]
_REPEATS = ["", "", "", "*", "+", "?", "*?", "{2}", "{1,3}", "{0,}", "{,2}"]


def random_pattern(rng: random.Random, depth: int = 3) -> str:
    """A pattern of a few parts, some of them in groups."""
    parts = []
    for _ in range(rng.randint(1, 4)):
        if depth and rng.random() < 0.3:
            opening = rng.choice(["(", "(?:", "(?i:", f"(?P<n{rng.randint(0, 10**9)}>"])
            atom = f"{opening}{random_pattern(rng, depth - 1)})"
        else:
            atom = rng.choice(_ATOMS)
        parts.append(atom + rng.choice(_REPEATS))
    return rng.choice(["", "|"]).join(parts)
