"""Where the record of a project lies. Knows folders, not what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flowkit.project import Project

FOLDER = ".flowkit"
RECORD = "record.sqlite"


def home(project: Project, env: Mapping[str, str]) -> Path:
    """Return the folder of the record: FLOWKIT_HOME; `.flowkit` in the project; without one, the user's state folder."""
    if said := env.get("FLOWKIT_HOME", "").strip():
        return Path(said).expanduser().absolute()
    if project.config is not None or (project.root / ".git").exists():
        return project.root / FOLDER
    if state := env.get("XDG_STATE_HOME", "").strip():
        return Path(state).expanduser().absolute() / "flowkit"
    from platformdirs import user_state_path  # few come here

    return user_state_path("flowkit")
