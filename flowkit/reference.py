"""Turn the tables of keys into the Markdown of the format reference. Knows no file."""

from __future__ import annotations

from flowkit.keys import TABLES, Key, Shape, Table

#: Between these lines of `docs/format.md` stands what `tables` returns.
BEGIN = "<!-- keys: begin -->"
END = "<!-- keys: end -->"


def tables() -> str:
    """Return every table of keys, one heading each."""
    return "\n\n".join(_table(table) for table in TABLES.values()) + "\n"


def filled(page: str) -> str:
    """Return a page with the text between its markers replaced by the tables. Raises ValueError without the markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def _table(table: Table) -> str:
    rows = ["| key | value | meaning |", "|---|---|---|", *(_row(key) for key in table.keys)]
    return "\n".join([f"### {table.title}", "", table.doc, "", *rows])


def _row(key: Key) -> str:
    notes = [key.doc]
    if key.required:
        notes.append("Required.")
    if key.kinds:
        notes.append(f"Steps: {', '.join(_KINDS[kind] for kind in key.kinds)}.")
    if key.example:
        notes.append(f"`{key.example}`")
    return f"| `{key.name}` | {_cell(describe(key.shape))} | {_cell(' '.join(notes))} |"


_KINDS = {"chat": "chat", "flow": "sub-flow", "call": "function", "set": "values"}
_NOUNS = {
    "any": "any data",
    "word": "text",
    "name": "a name",
    "path": "a path",
    "text": "template",
    "expression": "expression",
    "type": "a type",
    "fields": "fields",
    "duration": "duration",
    "boolean": "`true` or `false`",
}


def describe(shape: Shape) -> str:
    """Say in a cell what may stand under a key."""
    match shape.kind:
        case "integer" | "number":
            return ("whole number" if shape.kind == "integer" else "number") + _bounds(shape)
        case "words":
            return " or ".join(f"`{word}`" for word in shape.of_words)
        case "list":
            return f"list of: {describe(shape.of[0])}"
        case "map":
            return "mapping" if shape.of[0].kind == "any" else f"names to: {describe(shape.of[0])}"
        case "table":
            title = TABLES[shape.ref].title
            return f"[{title.replace('`', '')}](#{_anchor(title)})"
        case "either":
            return ", or ".join(dict.fromkeys(describe(each) for each in shape.of))
    return _NOUNS[shape.kind]


def _bounds(shape: Shape) -> str:
    low, high = shape.min, shape.max
    if high is not None and high > 1e15:
        return ""
    if low is not None and high is not None:
        return f" {low:g} to {high:g}"
    if low is not None:
        return f" > {low:g}" if shape.above else f" ≥ {low:g}"
    return ""


def _anchor(title: str) -> str:
    return "".join(char for char in title.lower().replace(" ", "-") if char.isalnum() or char in "-_")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
