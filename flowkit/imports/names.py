"""Turn the names of other tools into names that a flow can have, each only once. Knows nothing else."""

from __future__ import annotations

import keyword
import re
import unicodedata

#: Words that mean something in expressions, so that a step or input of that name could not be told from them.
_MEANT = frozenset({"inputs", "steps", "values", "previous", "round", "output", "loop"})
LONGEST = 64


def plain(text: str) -> str:
    """Return letters, digits and `_` of a text in small letters, accents taken off: `NER LLM` is `ner_llm`."""
    ascii_ = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", ascii_)
    return re.sub(r"\W+", "_", apart).strip("_").lower()


class Names:
    """Gives out names, and remembers which old name became which."""

    def __init__(self, *, kind: str, small: bool = True) -> None:
        self._kind = kind
        self._small = small
        self.given: dict[str, str] = {}

    def new(self, old: str) -> str:
        """Return the name for an old one: the same each time, and no one else's."""
        if old in self.given:
            return self.given[old]
        name = old if self._fits(old) else plain(old)
        if not name or not name[0].isalpha():
            name = f"{self._kind}_{name}".rstrip("_")
        name = name[:LONGEST]
        if name in _MEANT and self._kind == "step":
            name = f"{name}_{self._kind}"
        taken = set(self.given.values())
        first, number = name, 1
        while name in taken:
            number += 1
            name = f"{first[: LONGEST - 4]}_{number}"
        self.given[old] = name
        return name

    def renamed(self) -> dict[str, str]:
        """Return the names that changed."""
        return {old: new for old, new in self.given.items() if old != new}

    def _fits(self, name: str) -> bool:
        letters = r"[a-z][a-z0-9_]{0,63}" if self._small else r"[A-Za-z][A-Za-z0-9_]{0,63}"
        return re.fullmatch(letters, name) is not None


def module(path: str) -> str:
    """Return the path of a Python file under names that Python can import: `my-tools/a b.py` is `my_tools/a_b.py`."""
    parts = path.removesuffix(".py").split("/")
    return "/".join(p if p.isidentifier() and not keyword.iskeyword(p) else plain(p) or "module" for p in parts) + ".py"
