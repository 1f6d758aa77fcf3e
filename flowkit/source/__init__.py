"""Turn the bytes of a YAML file into a tree in which everything knows its place, or into problems. Knows nothing of flows."""

from __future__ import annotations

from flowkit.source.reading import parse
from flowkit.source.tree import Document, Entry, Mapping, Node, Scalar, Sequence, SourceFile, plain

__all__ = ["Document", "Entry", "Mapping", "Node", "Scalar", "Sequence", "SourceFile", "parse", "plain"]
