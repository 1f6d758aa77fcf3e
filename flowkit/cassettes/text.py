"""Turn data into YAML that people review in a diff, and back to the letter. Knows not what the data is."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from flowkit import source
from flowkit.errors import Problems


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, so that a diff shows the line."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything where it stands."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


def _number(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    if not 1e-9 < abs(value) < 1e15:
        return dumper.represent_float(value)
    said = f"{Decimal(repr(value)):f}"  # 0.00008, not 8.0e-05
    return dumper.represent_scalar("tag:yaml.org,2002:float", said if "." in said else f"{said}.0")


_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _number)


def written(data: Any) -> str:
    """Return data as YAML."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**9)


def of(data: Any) -> str | None:
    """Return data as YAML that reads back as the same; None where there is no such."""
    said = written(data)
    problems = Problems()
    document = source.parse(said.encode("utf-8", "surrogatepass"), path=Path(), shown="", problems=problems)
    same = not problems.fatal and document.root is not None and source.plain(document.root) == data
    return said if same else None


def put(path: Path, said: str) -> None:
    """Write a file whole or not at all; one that says the same is not touched. Raises OSError."""
    data = said.encode("utf-8")
    if path.exists() and path.read_bytes() == data:
        return
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(data)
    beside.replace(path)
