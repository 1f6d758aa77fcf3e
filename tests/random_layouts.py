"""Write data as YAML in any layout that an author may choose, with comments that say where they belong."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

STEP_KEYS = ("prompt", "system", "model", "output", "when", "needs", "checks", "x-note", "params", "set", "foreach")
TOP_KEYS = ("name", "description", "types", "inputs", "x-more", "outputs", "defaults")
WORDS = ("plain", "two words", "it's", "12:30", "NO", "1.10", "é ☃", "a, b", "{{ x }}", "string(..80), why", "- not a list", "#tag", "")
TEXTS = st.one_of(
    st.sampled_from(WORDS),
    st.lists(
        st.sampled_from(("One line.", "", "  deeper", "{% if x %}", "# no comment", "ends here", "\\n", '"q"')), min_size=1, max_size=5
    ).map("\n".join),
    st.text(st.sampled_from("ab '\"#:-\\\n{}[]&*!|>%@`,?"), max_size=12),
)
SMALL: Any = st.recursive(
    st.one_of(TEXTS, st.integers(-9, 99), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(("a", "b", "user", "expr")), inner, max_size=3)),
    max_leaves=6,
)
STEPS = st.dictionaries(st.sampled_from(STEP_KEYS), SMALL, min_size=1, max_size=5)


@st.composite
def flows(draw: Any) -> dict[str, Any]:
    """The data of a flow, its keys in any order."""
    more = draw(st.dictionaries(st.sampled_from(TOP_KEYS), SMALL, max_size=4))
    steps = draw(st.dictionaries(st.sampled_from(("first", "second", "third")), STEPS, min_size=1, max_size=3))
    return dict(draw(st.permutations([("flowkit", 1), ("steps", steps), *more.items()])))


class Author:
    """One author, whose every choice is drawn."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.lines: list[str] = []
        #: Whether a comment or blank line may follow: not where it would be part of a text.
        self.open = False

    def chance(self, of: int = 4) -> bool:
        return self.draw(st.integers(1, of)) == 1

    def pick(self, *of: Any) -> Any:
        return self.draw(st.sampled_from(of))

    def file(self, data: Any) -> str:
        if self.chance():
            self.lines += ["# yaml-language-server: $schema=flow.json"]
        self.block(data, 0, "")
        if self.chance():
            self.lines.append("# at the end")
        return "\n".join(self.lines) + self.pick("\n", "\n", "\n\n\n" if not self.open else "\n", "" if not self.open else "\n")

    def block(self, data: Any, indent: int, path: str) -> None:
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            name = f"{path}/{key}"
            self.between(indent, name)
            lead = " " * indent + (f"{self.pick(key, key, repr(key))}{self.pick('', '', ' ')}:" if isinstance(data, dict) else "-")
            self.value(value, lead, indent, name)

    def between(self, indent: int, name: str) -> None:
        if not self.open:
            self.lines += [""] * self.pick(0, 0, 0, 1, 3)
        if self.chance(5):
            self.lines.append(" " * indent + f"# above {name}")
            self.open = False
            if any(line and not line.startswith("#") for line in self.lines):  # a comment alone at the head is about the file
                self.lines += [""] * self.pick(0, 0, 1)

    def remark(self, name: str, tab: str = "\t") -> str:
        return self.pick(" ", "   ", tab) + f"# beside {name}" if self.chance(6) else self.pick("", "", "  ", tab)

    def value(self, value: Any, lead: str, indent: int, name: str) -> None:
        if isinstance(value, (dict, list)) and value and not self.chance():
            self.lines.append(lead + self.remark(name, "\t" if lead.endswith(":") else " "))
            self.open = False
            least = 0 if isinstance(value, list) and not lead.strip().startswith("-") else 1
            self.block(value, indent + self.draw(st.integers(least, 5)), name)
        elif isinstance(value, str) and self.chance(2) and (found := self.literal(value, indent)):
            self.lines += [f"{lead} {found[0]}", *found[1:]]
            self.open = "+" in found[0]
        else:
            self.lines += f"{lead}{self.pick(' ', ' ', '   ')}{self.brackets(value, indent)}".split("\n")
            self.lines[-1] += self.remark(name)
            self.open = False

    def literal(self, text: str, indent: int) -> list[str]:
        """A text under `|`, or nothing where that cannot hold it."""
        body = text.rstrip("\n")
        ends = len(text) - len(body)
        if not body.strip() or any(line and not line.strip() for line in body.split("\n")):
            return []
        deeper = self.draw(st.integers(1, 4))
        explicit = body.lstrip("\n").startswith(" ") or self.chance()
        header = f"|{deeper if explicit else ''}{('-', '', '+')[min(ends, 2)]}"
        return [header, *(" " * (indent + deeper) + line if line else "" for line in body.split("\n")), *[""] * max(ends - 1, 0)]

    def brackets(self, value: Any, indent: int) -> str:
        """A value in brackets or quotes, over one or more lines."""
        edge = self.pick("", "", " ", "\n" + " " * (indent + self.pick(1, 2, 5)))
        if isinstance(value, dict):
            return (
                "{"
                + edge
                + f",{edge or ' '}".join(f"{k}:{self.pick(' ', '  ')}{self.brackets(v, indent)}" for k, v in value.items())
                + edge
                + "}"
            )
        if isinstance(value, list):
            return "[" + edge + f"{self.pick('', ' ')},{edge}".join(self.brackets(item, indent) for item in value) + edge + "]"
        if isinstance(value, str):
            return self.quoted(value)
        return (
            {None: "null", True: "true", False: "false"}.get(value, str(value))
            if not isinstance(value, int) or isinstance(value, bool)
            else str(value)
        )

    def quoted(self, text: str) -> str:
        if text in {"plain", "two words", "it's", "12:30", "NO"} and self.chance(2):
            return text
        if "\n" not in text and self.chance(2):
            return "'" + text.replace("'", "''") + "'"
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@st.composite
def files(draw: Any) -> tuple[dict[str, Any], str]:
    """The data of a flow, and a file that holds it."""
    data = draw(flows())
    return data, Author(draw).file(data)
