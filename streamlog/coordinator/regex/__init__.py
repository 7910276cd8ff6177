r"""Regular expressions over topic names, in RE2's syntax, matched in time linear in the name.

`compile_regex("orders-.*")` gives a `TopicRegex` whose `matches(name)` says whether the whole
name matches, as Kafka's brokers ask it of RE2/J (KIP-848). A pattern comes from whoever connects:
a matcher that backtracks could be made to run for years, so this one follows all ways at once.

    parser      a pattern as a tree; what is refused is refused here
    program     the tree as instructions: which characters lead where
    matcher     the sets of instructions that a name leads through, remembered

Offered: literals, `.`, classes with ranges, negation and POSIX names, `\d \w \s \b` and their
opposites, `\A \z ^ $`, `\Q...\E`, groups with and without names, alternatives, `* + ? {n,m}`, the
flags `(?imsU)`, and the escapes of characters. Refused, with the place: references back, looking
ahead or behind, possessive repetition, which RE2 refuses too; `\p{...}`, which means nothing
among the characters that a topic's name can have; and what would take more than
`MAX_INSTRUCTIONS`.

What it is not: it finds nothing inside of a text and captures nothing.
"""

from __future__ import annotations

from streamlog.coordinator.regex.matcher import TopicRegex, compile_regex
from streamlog.coordinator.regex.parser import BadRegexError
from streamlog.coordinator.regex.program import MAX_INSTRUCTIONS

__all__ = ["MAX_INSTRUCTIONS", "BadRegexError", "TopicRegex", "compile_regex"]
