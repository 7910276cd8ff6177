"""The two shapes of a setting's data, and the search for the name that was meant."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

import msgspec

from streamlog.errors import UnknownSettingError, UnsupportedFeatureError

Kind = Literal[
    "bool", "int", "long", "double", "string", "list", "throttled_replicas", "acks", "callable"
]

INT_MAX = 2**31 - 1
LONG_MAX = 2**63 - 1


class Setting(msgspec.Struct, frozen=True):
    """One setting: its name, what it may hold, and what it means here.

    `low` and `high` are inclusive and bound numbers; `also` is allowed beside them (Kafka's -1
    next to gzip's 1-9). `choices` bound strings, and the items of a list. A setting whose default
    is None, or that is `optional`, accepts None: not set. `hidden` settings exist for tests and
    are described only where they are set. What is not `honoured` has no effect here; `reason` says
    why, where that is no matter of a version.
    """

    name: str
    kind: Kind
    default: Any
    doc: str
    low: float | None = None
    high: float | None = None
    also: int | None = None
    choices: tuple[str, ...] = ()
    honoured: bool = True
    hidden: bool = False
    reason: str = ""

    @property
    def dotted(self) -> str:
        """The name as Kafka writes it."""
        return self.name.replace("_", ".")

    def allowed(self, *, largest: bool = False) -> str:
        """What the setting accepts, in words, for messages and documentation.

        `largest` names the end of a number's range also where it is only that of its type.
        """
        match self.kind:
            case "bool":
                return "true or false"
            case "acks":
                return '0, 1 or "all"'
            case "callable":
                return "a callable" if self.default is not None else "a callable or None"
            case "throttled_replicas":
                return "* or a list of partition:broker"
            case "list":
                return f"a list of {', '.join(self.choices)}" if self.choices else "a list"
            case "string":
                return f"one of {', '.join(self.choices)}" if self.choices else "a string"
        return self._allowed_number(largest)

    def _allowed_number(self, largest: bool) -> str:
        low, high = self.bounds()
        is_open = not largest and high == {"int": INT_MAX, "long": LONG_MAX}.get(self.kind)
        noun = "a number" if self.kind == "double" else "an integer"
        text = f"{noun} from {low}" + (" up" if is_open else f" to {high}")
        return text if self.also is None else f"{text}, or {self.also}"

    def bounds(self) -> tuple[float, float]:
        """The inclusive range of a number: its own limits, else those of its type."""
        largest = {"int": INT_MAX, "long": LONG_MAX}.get(self.kind, float("inf"))
        low = -largest - 1 if self.low is None else self.low
        return low, (largest if self.high is None else self.high)


class SettingTable:
    """The settings of one subject ("topic", "producer", ...), by name.

    `refused` maps names that Kafka knows and this version does not offer to the reason;
    `networked` names what only means something between a client and a broker.
    """

    __slots__ = ("_by_name", "networked", "refused", "subject")

    def __init__(
        self,
        subject: str,
        settings: tuple[Setting, ...],
        *,
        refused: Mapping[str, str] | None = None,
        networked: Collection[str] = (),
    ) -> None:
        self.subject = subject
        self.refused = dict(refused or {})
        self.networked = frozenset(networked)
        self._by_name = {setting.name: setting for setting in settings}
        assert len(self._by_name) == len(settings), "two settings of one name"

    def __iter__(self) -> Iterator[Setting]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Setting:
        """The setting of that `snake_case` name.

        Raises `UnsupportedFeatureError` for a known name that is not offered, and
        `UnknownSettingError` naming the nearest for one that nobody knows.
        """
        setting = self._by_name.get(name)
        if setting is not None:
            return setting
        if name in self.refused:
            raise UnsupportedFeatureError(
                f"{name} is not supported: {self.refused[name]}", feature=name
            )
        guess = nearest(name, self._by_name)
        hint = f"; did you mean {guess}?" if guess else ""
        raise UnknownSettingError(
            f"no {self.subject} setting is called {name!r}{hint}", name=name, nearest=guess
        )


def nearest(name: str, candidates: Collection[str]) -> str | None:
    """The candidate most like `name`, or None when none is near.

    Case and the difference between `.`, `-` and `_` do not count.
    """
    import difflib

    def plain(text: str) -> str:
        return text.lower().replace(".", "_").replace("-", "_")

    by_plain: dict[str, str] = {}
    for candidate in candidates:
        by_plain.setdefault(plain(candidate), candidate)
    matches = difflib.get_close_matches(plain(name), by_plain, n=1, cutoff=0.6)
    return by_plain[matches[0]] if matches else None
