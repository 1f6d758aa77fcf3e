"""Let `python -m flowkit` be the command line."""

from __future__ import annotations

from flowkit.main import main

if __name__ == "__main__":
    main()
