"""Write one run as one page that needs no network: everything that is kept of it, and no script. Pure: a tree becomes HTML."""

from __future__ import annotations

from flowkit.report.page import page

__all__ = ["page"]
