"""Hold the law of the layout: the new file says what the old one says. Knows trees and comments, not how they were laid out."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from yaml import tokens as tk

from flowkit import source
from flowkit.errors import FlowkitError, Problems
from flowkit.layout import order, reading
from flowkit.source import Mapping, Scalar, Sequence

if TYPE_CHECKING:
    from flowkit.source import Document, Node

_HEADER_COMMENT = re.compile(r"[|>][-+0-9]*[ \t]+(#.*)")


class Unfaithful(FlowkitError):
    """The layout would change what the file says: a bug in flowkit, and the file stays as it is."""

    exit_code = 70


def hold(before: Document, old: str, new: str) -> None:
    """Compare two files by their data, the order of their keys, their anchors and their comments. Raises Unfaithful."""
    problems = Problems()
    after = source.parse(new, path=before.file.path, shown=before.file.shown, problems=problems)
    if problems.fatal or after.root is None or before.root is None:
        raise Unfaithful("it could not be read in the new layout")
    flow = isinstance(before.root, Mapping) and order.is_flow(list(before.root.named))
    if _data(before.root, flow=flow) != _data(after.root, flow=flow):
        raise Unfaithful("its data would change")
    if _beside(old) != _beside(new):
        raise Unfaithful("a comment or an anchor would be lost")


def _data(node: Node, path: tuple[str, ...] = (), *, flow: bool) -> Any:
    """Return what a node says: each text and whether it is plain, and entries in order where their order is kept."""
    if isinstance(node, Scalar):
        return node.style == "plain", node.text
    if isinstance(node, Sequence):
        return [_data(item, (*path, "-"), flow=flow) for item in node.items]
    entries = {name: _data(entry.value, (*path, name), flow=flow) for name, entry in node.named.items()}
    free = flow and (not path or (len(path) == 2 and path[0] == "steps"))
    return entries if free else list(entries.items())


def _beside(text: str) -> Counter[str]:
    """Count the comments, anchors and aliases of a file."""
    tokens = reading.tokens(text)
    found = Counter(comment.text for comment in reading.comments(text, tokens))
    for token in tokens:
        if isinstance(token, (tk.AnchorToken, tk.AliasToken)):
            found[text[token.start_mark.index : token.end_mark.index]] += 1
        elif isinstance(token, tk.ScalarToken) and token.style in {"|", ">"}:
            header = text[token.start_mark.index : token.end_mark.index].partition("\n")[0]
            found.update(comment.rstrip() for comment in _HEADER_COMMENT.findall(header))
    return found
