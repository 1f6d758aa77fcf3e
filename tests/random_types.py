"""Random types and random JSON data, for laws that hold for every type."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from flowkit.types.algebra import (
    ANY,
    BOOLEAN,
    MESSAGE,
    NULL,
    OBJECT,
    Date,
    DateTime,
    Enum,
    Field,
    Integer,
    List,
    Map,
    Number,
    Record,
    Ref,
    String,
    Type,
    union,
)

#: Named types for random types to point at; a tree contains itself in every way that ends.
TABLE: dict[str, Type] = {}
TABLE["Kind"] = Enum(("bug", "question", "billing"))
TABLE["Issue"] = Record(
    (Field("title", String(1, 80)), Field("kind", Ref("Kind", TABLE)), Field("order_id", String(), optional=True)), "Issue"
)
TABLE["Tree"] = Record(
    (
        Field("value", Integer()),
        Field("kids", List(Ref("Tree", TABLE))),
        Field("next", Ref("Tree", TABLE), optional=True),
        Field("other", union(Ref("Tree", TABLE), NULL)),
        Field("named", Map(Ref("Tree", TABLE))),
    ),
    "Tree",
)


def lookup(name: str) -> Type | None:
    """Find a named type as a flow would."""
    return Ref(name, TABLE) if name in TABLE else None


def _range(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    bound = st.none() | numbers
    return st.tuples(bound, bound).map(lambda t: t if None in t or t[0] <= t[1] else (t[1], t[0]))


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars: st.SearchStrategy[Type] = st.one_of(
    st.sampled_from([BOOLEAN, Date(), DateTime()]),
    _range(st.integers(0, 40)).map(lambda b: String(*b)),
    _range(st.integers(-(10**20), 10**20)).map(lambda b: Integer(*b)),
    _range(st.integers(-1_000, 1_000) | st.floats(-1e6, 1e6, allow_nan=False)).map(lambda b: Number(*b)),
    st.lists(words, min_size=1, max_size=5, unique=True).map(lambda ws: Enum(tuple(ws))),
)


def _containers(inner: st.SearchStrategy[Type]) -> st.SearchStrategy[Type]:
    return inner.map(List) | inner.map(Map) | st.lists(inner, min_size=1, max_size=3).map(lambda ts: union(*ts, NULL))


#: Types that the grammar can say.
spoken: st.SearchStrategy[Type] = st.recursive(
    scalars | st.sampled_from([ANY, OBJECT, MESSAGE, Ref("Kind", TABLE), Ref("Issue", TABLE), Ref("Tree", TABLE)]),
    _containers,
    max_leaves=6,
)


@st.composite
def _records(draw: st.DrawFn, inner: st.SearchStrategy[Type]) -> Type:
    names = draw(st.lists(st.sampled_from(["a", "b", "title", "odd key", "class", "value"]), max_size=4, unique=True))
    return Record(tuple(Field(n, draw(inner), draw(st.booleans())) for n in names))


#: All types, with records and lists that have bounds.
types: st.SearchStrategy[Type] = st.recursive(
    spoken,
    lambda inner: _records(inner) | st.tuples(inner, _range(st.integers(0, 4))).map(lambda t: List(t[0], *t[1])) | _containers(inner),
    max_leaves=6,
)

json_data: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(words | st.sampled_from(["title", "kind", "a", "value"]), inner, max_size=3)
    ),
    max_leaves=8,
)
