"""Matching: all instructions that a name can lead to are followed at once.

The sets of them are remembered with what each character makes of them, so that the names of a
thousand topics cost little more than a dictionary's look-ups.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

from streamlog.coordinator.regex.classes import WORD
from streamlog.coordinator.regex.program import MATCHED, Fork, Gate, Program, Step, assemble

_REMEMBERED_MAX = 5_000

State: TypeAlias = tuple[frozenset[int], str]
"""The instructions to go on with, and the character before ("" at the beginning)."""


class TopicRegex:
    """A pattern that was understood."""

    __slots__ = ("_moves", "_program", "pattern")

    def __init__(self, pattern: str, program: Program) -> None:
        self.pattern = pattern
        self._program = program
        self._moves: dict[tuple[State, str], State] = {}

    def matches(self, name: str) -> bool:
        """Whether the whole name matches."""
        state: State = (frozenset((self._program.start,)), "")
        for character in name:
            state = self._moves.get((state, character)) or self._move(state, character)
            if not state[0]:
                return False
        return MATCHED in self._reachable(state, "")

    def _move(self, state: State, character: str) -> State:
        instructions = self._program.instructions
        after = set()
        for at in self._reachable(state, character):
            instruction = instructions[at]
            if isinstance(instruction, Step) and character in instruction.characters:
                after.add(instruction.then)
        if len(self._moves) >= _REMEMBERED_MAX:
            self._moves.clear()
        # Of the character before only its kind matters; so there are fewer states.
        moved = (frozenset(after), "_" if character in WORD else ".")
        self._moves[state, character] = moved
        return moved

    def _reachable(self, state: State, following: str) -> set[int]:
        """The instructions that are reached without taking a character."""
        instructions = self._program.instructions
        waiting = list(state[0])
        found = set(waiting)
        while waiting:
            at = waiting.pop()
            instruction = instructions[at]
            if at == MATCHED:
                continue
            if isinstance(instruction, Fork):
                further = [instruction.one, instruction.other]
            elif isinstance(instruction, Gate) and _holds(instruction.kind, state[1], following):
                further = [instruction.then]
            else:
                continue
            fresh = [target for target in further if target not in found]
            found.update(fresh)
            waiting.extend(fresh)
        return found


@lru_cache(maxsize=256)
def compile_regex(pattern: str) -> TopicRegex:
    """The pattern, understood. BadRegexError when it is not of the syntax that is offered."""
    return TopicRegex(pattern, assemble(pattern))


def _holds(kind: str, before: str, following: str) -> bool:
    if kind == "begin":
        return before == ""
    if kind == "end":
        return following == ""
    at_boundary = (before in WORD) != (following in WORD)
    return at_boundary == (kind == "boundary")
