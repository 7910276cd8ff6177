"""Patterns over topic names, against Python's own matcher where the two syntaxes are the same.

The interop tests hold them against RE2/J.
"""

from __future__ import annotations

import random
import re
import warnings

import pytest

from streamlog.coordinator.regex import MAX_INSTRUCTIONS, BadRegexError, compile_regex
from streamlog.coordinator.regex.classes import ALPHABET
from tests.coordinator.patterns import random_pattern

NAMES = ["", "a", "b", "ab", "aa", "aab", "a.b", "a-b", "a_b", "orders", "0", "9x", "A", "."]


def matches(pattern: str, *names: str) -> list[str]:
    regex = compile_regex(pattern)
    return [name for name in names if regex.matches(name)]


def pythons(pattern: str) -> str:
    """The same pattern as Python spells it."""
    spelled = (
        pattern.replace(r"\B", r"(?!\b)")
        .replace(r"\z", r"\Z")
        .replace("$", r"\Z")
        .replace("^", r"\A")
    )
    spelled = re.sub(r"\[\\A([^\]]*)\]", r"[^\1]", spelled)
    return spelled.replace("[[:alnum:]]", "[a-zA-Z0-9]").replace("{,2}", r"\{,2\}")


def test_patterns_mean_what_they_mean_to_python() -> None:
    rng = random.Random(11)
    names = NAMES + ["".join(rng.choices(sorted(ALPHABET), k=5)) for _ in range(10)]
    compared = 0
    for _ in range(1_500):
        pattern = random_pattern(rng)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = re.compile(pythons(pattern), re.ASCII)
        except re.error:
            continue
        compared += 1
        ours = compile_regex(pattern)
        for name in names:
            assert ours.matches(name) == bool(theirs.fullmatch(name)), (pattern, name)
    assert compared > 800


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("orders", ["orders"]),
        ("a.b", ["a.b", "a-b", "a_b", "aab"]),
        (r"a\.b", ["a.b"]),
        (r"\Qa.b\E", ["a.b"]),
        (r"\Qa.b", ["a.b"]),
        ("(?i)a+b?", ["a", "ab", "aa", "aab", "A"]),
        ("(?i:A)b", ["ab"]),
        ("[[:digit:]].*", ["0", "9x"]),
        ("[^[:alpha:]]", ["0", "."]),
        ("a{2}b{0,1}", ["aa", "aab"]),
        ("(?P<name>a)|(?<other>b)", ["a", "b"]),
        (r"\x61\x{62}", ["ab"]),
        ("", [""]),
        (r"a\b.\bb", ["a.b", "a-b"]),
        (r"a\Bb", ["ab"]),
        ("^a$", ["a"]),
        ("a|", ["", "a"]),
    ],
)
def test_what_matches(pattern: str, wanted: list[str]) -> None:
    assert sorted(matches(pattern, *NAMES)) == sorted(wanted)


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", ")", "(a", "a)", "[", "[a", "[b-a]", "*", "a**", "a++", "a{2}{3}", "a{1001}"),
        *("a{2,1}", r"\1", r"(a)\1", "(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(?>a)", "(?z)", "\\"),
        *(r"\p{L}", r"\k<n>", "[[:nonsense:]]", r"\xg", "(?P<>a)", "(?P<1>a)", r"\C"),
    ],
)
def test_what_is_refused_is_refused_by_name_and_place(pattern: str) -> None:
    with pytest.raises(BadRegexError, match="position") as refused:
        compile_regex(pattern)
    assert 0 <= refused.value.position <= len(pattern)


def test_a_pattern_that_would_take_forever_elsewhere() -> None:
    """Time is linear in the name, whatever the pattern."""
    name = "a" * 249
    assert not compile_regex("(a*)*b").matches(name)
    assert not compile_regex("(a|aa)+b").matches(name)
    assert compile_regex("(((a?){20}){10}){1}a*").matches(name)


def test_a_pattern_has_a_limited_size() -> None:
    with pytest.raises(BadRegexError, match="too large"):
        compile_regex("((a{100}){100}){100}")
    with pytest.raises(BadRegexError, match="nested"):
        compile_regex("(" * 200 + ")" * 200)
    assert compile_regex(f"a{{{1000}}}").matches("a" * 1000)
    assert MAX_INSTRUCTIONS <= 10_000
