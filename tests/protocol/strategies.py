"""Hypothesis strategies for any message in any version, derived from its layout."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from streamlog.protocol import Message, Uuid, message
from streamlog.protocol.layout import FieldLayout, StructLayout, lay_out
from tests.protocol.values import INTEGERS, TEXTS

UNKNOWN_TAGS_FROM = 1000  # no definition has such a tag

Which = tuple[str, int]

_UNKNOWN_TAGS = st.one_of(
    st.just(()),
    st.dictionaries(
        st.integers(UNKNOWN_TAGS_FROM, 2**32 - 1), st.binary(max_size=9), max_size=3
    ).map(lambda tags: tuple(sorted(tags.items()))),
)
_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "float64": st.floats(allow_nan=False),
    "uuid": st.one_of(st.just(Uuid.ZERO), st.binary(min_size=16, max_size=16).map(Uuid)),
    "string": st.one_of(st.text(st.characters(codec="utf-8"), max_size=9), st.sampled_from(TEXTS)),
    "bytes": st.binary(max_size=130),
    "records": st.binary(max_size=130),
    **{kind: st.integers(*limits) for kind, limits in INTEGERS.items()},
}


@cache
def values(name: str, version: int, *, unknown_tags: bool = False) -> st.SearchStrategy[Any]:
    """Values that `version` of the message can express, with tagged fields of no definition."""
    kind = message(name)
    layout = lay_out(kind.definition, version)
    return _struct(kind, layout, unknown_tags and layout.is_flexible)


def values_of(versions: list[Which], **options: bool) -> st.SearchStrategy[tuple[Which, Any]]:
    """One of `versions` and a value for it."""
    return st.sampled_from(versions).flatmap(
        lambda which: st.tuples(st.just(which), values(*which, **options))
    )


def _struct(kind: Message, layout: StructLayout, unknown_tags: bool) -> st.SearchStrategy[Any]:
    made = kind.Value if layout.name == kind.name else kind.structs[layout.name]
    fields = {
        field.attribute: _field(kind, field, unknown_tags)
        for field in layout.members
        if not field.is_absent
    }
    if unknown_tags:
        fields["unknown_tagged_fields"] = _UNKNOWN_TAGS
    return st.builds(made, **fields)


def _field(kind: Message, field: FieldLayout, unknown_tags: bool) -> st.SearchStrategy[Any]:
    if field.is_array:
        found = st.lists(_field(kind, field.element, unknown_tags), max_size=3)
    elif field.struct is not None:
        found = _struct(kind, field.struct, unknown_tags)
    else:
        found = _SCALARS[field.type]
    return st.none() | found if field.is_nullable else found
