"""Turn the tree of a flow file into what it says, or into every problem in it. Knows the format, not whether the flow can run."""

from __future__ import annotations

from flowkit.parser.flow import LoadObject, parse

__all__ = ["LoadObject", "parse"]
