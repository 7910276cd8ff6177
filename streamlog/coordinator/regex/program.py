"""A pattern's tree as instructions (Thompson's construction), each with where it goes on.

Instruction 0 is where matching ends. A `Step` takes one character; a `Fork` goes both ways
without one; a `Gate` goes on where its assertion holds.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from streamlog.coordinator.regex.parser import (
    Alternatives,
    Assertion,
    BadRegexError,
    Node,
    OneOf,
    Repeat,
    Sequence,
    parse,
)

MAX_INSTRUCTIONS = 10_000
MATCHED = 0


class Step(NamedTuple):
    """Takes one of `characters`."""

    characters: frozenset[str]
    then: int


class Fork(NamedTuple):
    """Goes on at both."""

    one: int
    other: int


class Gate(NamedTuple):
    """Goes on where the assertion of that kind holds."""

    kind: str
    then: int


Instruction: TypeAlias = Step | Fork | Gate


class Program(NamedTuple):
    """The instructions, and which one is first."""

    instructions: list[Instruction]
    start: int


def assemble(pattern: str) -> Program:
    """The program of a pattern. BadRegexError when there is none."""
    assembler = _Assembler(pattern)
    start = assembler.add(parse(pattern), MATCHED)
    return Program(assembler.instructions, start)


class _Assembler:
    """Writes a tree from behind: each part is told where to go on."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self.instructions: list[Instruction] = [Fork(MATCHED, MATCHED)]

    def add(self, node: Node, then: int) -> int:
        """The instruction at which `node` begins."""
        match node:
            case OneOf(characters):
                return self._emit(Step(characters, then))
            case Assertion(kind):
                return self._emit(Gate(kind, then))
            case Sequence(parts):
                for part in reversed(parts):
                    then = self.add(part, then)
                return then
            case Alternatives(choices):
                starts = [self.add(choice, then) for choice in choices]
                first = starts.pop()
                while starts:
                    first = self._emit(Fork(starts.pop(), first))
                return first
            case Repeat():
                return self._repeat(node, then)

    def _repeat(self, node: Repeat, then: int) -> int:
        if node.high is None:
            then = self._loop(node.part, then)
        else:
            behind = then
            for _ in range(node.high - node.low):
                then = self._emit(Fork(self.add(node.part, then), behind))
        for _ in range(node.low):
            first = self.add(node.part, then)
            if first == then:  # it is empty: no use in saying so a thousand thousand times
                break
            then = first
        return then

    def _loop(self, part: Node, then: int) -> int:
        fork = self._emit(Fork(then, then))
        self.instructions[fork] = Fork(self.add(part, fork), then)
        return fork

    def _emit(self, instruction: Instruction) -> int:
        if len(self.instructions) >= MAX_INSTRUCTIONS:
            raise BadRegexError(self._pattern, len(self._pattern), "it is too large, written out,")
        self.instructions.append(instruction)
        return len(self.instructions) - 1
