"""A pattern as a tree of what it is made of, or a refusal that says what and where."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from streamlog.coordinator.regex.classes import (
    ALPHABET,
    ESCAPED_CLASSES,
    POSIX_CLASSES,
    characters,
    fold,
)

MAX_NESTING = 100
MAX_REPEAT = 1000

_CONTROL_ESCAPES = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ASSERTIONS = {"A": "begin", "z": "end", "b": "boundary", "B": "inside"}
_OCTAL = frozenset("01234567")
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
_SPECIAL = frozenset("|)*+?")


class BadRegexError(ValueError):
    """A pattern that is not of the syntax that is offered."""

    def __init__(self, pattern: str, position: int, reason: str) -> None:
        super().__init__(f"{reason} at position {position} of {pattern!r}")
        self.position = position
        self.reason = reason


class OneOf(NamedTuple):
    """One character of a set."""

    characters: frozenset[str]


class Sequence(NamedTuple):
    """One after the other."""

    parts: tuple[Node, ...]


class Alternatives(NamedTuple):
    """Any one of them."""

    choices: tuple[Node, ...]


class Repeat(NamedTuple):
    """From `low` to `high` times; None: without end. Which way it is greedy does not matter."""

    part: Node
    low: int
    high: int | None


class Assertion(NamedTuple):
    """No character, but a place: "begin", "end", "boundary" or "inside" of a word."""

    kind: str


Node: TypeAlias = OneOf | Sequence | Alternatives | Repeat | Assertion


def parse(pattern: str) -> Node:
    """The tree of a pattern. BadRegexError when it is not of the syntax."""
    parser = _Parser(pattern)
    tree = parser.alternatives(ignore_case=False, nesting=0)
    if parser.position < len(pattern):
        raise parser.refusal("an unexpected )")
    return tree


class _Parser:
    """One pass over a pattern, by recursive descent."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self.position = 0
        self._ignore_case = False

    def refusal(self, reason: str) -> BadRegexError:
        return BadRegexError(self._pattern, self.position, reason)

    def alternatives(self, *, ignore_case: bool, nesting: int) -> Node:
        """Up to the end or a closing parenthesis. Flags hold up to there."""
        if nesting > MAX_NESTING:
            raise self.refusal("groups are nested too deeply")
        self._ignore_case = ignore_case
        choices: list[Node] = []
        while True:
            parts: list[Node] = []
            while (part := self._repeated(nesting)) is not None:
                parts.append(part)
            choices.append(Sequence(tuple(parts)))
            if not self._take("|"):
                return choices[0] if len(choices) == 1 else Alternatives(tuple(choices))

    # ------------------------------------------------------------------------------ repetition

    def _repeated(self, nesting: int) -> Node | None:
        part = self._atom(nesting)
        if part is None:
            return None
        bounds = self._bounds()
        if bounds is None:
            return part
        self._take("?")  # lazy: which of several matches does not matter
        before = self.position
        if self._bounds() is not None:
            self.position = before
            raise self.refusal("a repetition is repeated or possessive")
        return Repeat(part, *bounds)

    def _bounds(self) -> tuple[int, int | None] | None:
        """The repetition at the position; None where there is none, and a { is a literal."""
        if self._take("*"):
            return 0, None
        if self._take("+"):
            return 1, None
        if self._take("?"):
            return 0, 1
        start = self.position
        if not self._take("{"):
            return None
        low, open_ended, high = self._number(), self._take(","), self._number()
        if low is None or not self._take("}"):
            self.position = start
            return None
        top = None if open_ended and high is None else high if open_ended else low
        if max(low, top or 0) > MAX_REPEAT or (top is not None and top < low):
            raise self.refusal("a repetition that is too large or ends before it begins")
        return low, top

    def _number(self) -> int | None:
        start = self.position
        while self._peek().isdecimal() and self._peek().isascii():
            self.position += 1
        return int(self._pattern[start : self.position]) if self.position > start else None

    # ----------------------------------------------------------------------------------- atoms

    def _atom(self, nesting: int) -> Node | None:
        character = self._peek()
        if not character or character in "|)":
            return None
        if character in _SPECIAL or (character == "{" and self._bounds() is not None):
            raise self.refusal("nothing to repeat")
        self.position += 1
        match character:
            case "(":
                return self._group(nesting)
            case "[":
                return self._class()
            case ".":
                return OneOf(ALPHABET)
            case "^":
                return Assertion("begin")
            case "$":
                return Assertion("end")
            case "\\":
                return self._escape()
            case _:
                return self._literal(character)

    def _literal(self, character: str) -> OneOf:
        found = frozenset(character)
        return OneOf((fold(found) if self._ignore_case else found) & ALPHABET)

    def _group(self, nesting: int) -> Node:
        outside = ignore_case = self._ignore_case
        if self._take("?"):
            if self._take("P<") or (self._peek() == "<" and self._peek(1) not in "=!"):
                self._group_name()
            else:
                ignore_case, opened = self._flags()
                if not opened:
                    self._ignore_case = ignore_case
                    return Sequence(())
        inside = self.alternatives(ignore_case=ignore_case, nesting=nesting + 1)
        if not self._take(")"):
            raise self.refusal("a ) is missing")
        self._ignore_case = outside
        return inside

    def _group_name(self) -> None:
        self._take("<")
        end = self._pattern.find(">", self.position)
        name = self._pattern[self.position : end] if end > 0 else ""
        if not name.isidentifier() or not name.isascii():
            raise self.refusal("a group's name is missing")
        self.position = end + 1

    def _flags(self) -> tuple[bool, bool]:
        """(whether case is ignored from here on, whether a group opens)."""
        ignore_case, wanted = self._ignore_case, True
        while (character := self._peek()) and character not in ":)":
            if character == "-" and wanted:
                wanted = False
            elif character == "i":
                ignore_case = wanted
            elif character not in "msU":
                raise self.refusal("an unknown kind of group or flag")
            self.position += 1
        if not character:
            raise self.refusal("a group is not complete")
        self.position += 1
        return ignore_case, character == ":"

    def _escape(self) -> Node:
        character = self._peek()
        if character == "Q":
            self.position += 1
            return self._quoted()
        if character in _ASSERTIONS:
            self.position += 1
            return Assertion(_ASSERTIONS[character])
        if character in ESCAPED_CLASSES:
            self.position += 1
            return OneOf(ESCAPED_CLASSES[character])
        return self._literal(self._escaped_character())

    def _quoted(self) -> Node:
        end = self._pattern.find("\\E", self.position)
        text = self._pattern[self.position : end if end >= 0 else None]
        self.position += len(text) + (2 if end >= 0 else 0)
        return Sequence(tuple(self._literal(character) for character in text))

    def _escaped_character(self) -> str:
        """The character that an escape behind its backslash stands for."""
        character = self._peek()
        self.position += 1
        if character in _CONTROL_ESCAPES:
            return _CONTROL_ESCAPES[character]
        if character == "x":
            return self._hexadecimal()
        if character in _OCTAL and (character == "0" or self._peek() in _OCTAL):
            return chr(int(character + self._digits(_OCTAL, 2), 8))
        if character and character.isascii() and not character.isalnum():
            return character
        self.position -= 1
        raise self.refusal("an escape that is not offered" if character else "a lone \\")

    def _hexadecimal(self) -> str:
        if self._take("{"):
            digits = self._digits(_HEXADECIMAL, 8)
            complete = bool(digits) and self._take("}")
        else:
            digits = self._digits(_HEXADECIMAL, 2)
            complete = len(digits) == 2
        if not complete or int(digits, 16) > 0x10FFFF:
            raise self.refusal("a number of a character is not complete")
        return chr(int(digits, 16))

    def _digits(self, allowed: frozenset[str], most: int) -> str:
        start = self.position
        while self.position - start < most and self._peek() in allowed:
            self.position += 1
        return self._pattern[start : self.position]

    # --------------------------------------------------------------------------------- classes

    def _class(self) -> OneOf:
        negated = self._take("^")
        found: set[str] = set()
        first = True
        while first or self._peek() != "]":
            first = False
            found |= self._class_part()
        self.position += 1
        within = fold(found) if self._ignore_case else frozenset(found)
        return OneOf(ALPHABET - within if negated else ALPHABET & within)

    def _class_part(self) -> frozenset[str]:
        if not self._peek():
            raise self.refusal("a ] is missing")
        if self._pattern.startswith("[:", self.position):
            return self._posix_class()
        if self._peek() == "\\" and self._peek(1) in ESCAPED_CLASSES:
            self.position += 2
            return ESCAPED_CLASSES[self._pattern[self.position - 1]]
        low = self._class_character()
        if self._peek() != "-" or self._peek(1) in ("]", ""):
            return frozenset(low)
        self.position += 1
        high = self._class_character()
        if high < low:
            raise self.refusal("a range ends before it begins")
        return characters(low, high)

    def _class_character(self) -> str:
        character = self._peek()
        if not character:
            raise self.refusal("a ] is missing")
        self.position += 1
        return self._escaped_character() if character == "\\" else character

    def _posix_class(self) -> frozenset[str]:
        end = self._pattern.find(":]", self.position)
        name = self._pattern[self.position + 2 : end] if end >= 0 else ""
        negated = name.startswith("^")
        known = POSIX_CLASSES.get(name.removeprefix("^"))
        if known is None:
            raise self.refusal("an unknown class of characters")
        self.position = end + 2
        return ALPHABET - known if negated else known

    # -------------------------------------------------------------------------------- scanning

    def _peek(self, ahead: int = 0) -> str:
        at = self.position + ahead
        return self._pattern[at] if at < len(self._pattern) else ""

    def _take(self, text: str) -> bool:
        if self._pattern.startswith(text, self.position):
            self.position += len(text)
            return True
        return False
