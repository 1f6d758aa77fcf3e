"""Find Python objects that a flow names: beside the flow, in the project root, then among installed packages."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class LoadFailed(Exception):
    """A module or name that a flow names cannot be had; `code` is the code of the problem."""

    def __init__(self, code: str, message: str, names: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        #: Names that the module has, for a hint.
        self.names = names


_loaded: dict[Path, ModuleType] = {}


def load(reference: str, *, beside: Path, root: Path) -> Any:
    """Return what `pkg.mod:name` stands for in the file `beside`. Raises LoadFailed.

    A file beside the flow or below the project root is loaded under a name of its own, so that two flows may each have a `tools.py`.
    """
    module_name, colon, attribute = reference.partition(":")
    if not colon or not module_name or not attribute or not all(p.isidentifier() for p in [*module_name.split("."), *attribute.split(".")]):
        raise LoadFailed("function-name", f"{reference!r} is not of the form 'package.module:name'")
    module = _module(module_name, beside.parent, root)
    found: Any = module
    for part in attribute.split("."):
        if part.startswith("_") or not hasattr(found, part):
            names = tuple(n for n in vars(found) if not n.startswith("_")) if hasattr(found, "__dict__") else ()
            raise LoadFailed("unknown-function", f"module {module_name!r} has no {part!r}", names)
        found = getattr(found, part)
    return found


def _module(name: str, folder: Path, root: Path) -> ModuleType:
    for base in dict.fromkeys((folder, root)):
        stem = base.joinpath(*name.split("."))
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                return _from_file(name, path.resolve(), base)
    try:
        if importlib.util.find_spec(name) is not None:
            return importlib.import_module(name)
    except ModuleNotFoundError:
        pass
    except Exception as e:
        raise LoadFailed("module-import", f"module {name!r} cannot be imported: {type(e).__name__}: {e}") from e
    near = tuple(dict.fromkeys(p.stem for base in (folder, root) for p in sorted(base.glob("*.py")) if not p.stem.startswith("_")))
    raise LoadFailed("unknown-module", f"there is no module {name!r} beside the flow, in the project root, or installed", near)


def _from_file(name: str, path: Path, base: Path) -> ModuleType:
    if path in _loaded:
        return _loaded[path]
    unique = f"flowkit_loaded_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}.{name.rpartition('.')[2]}".replace(".", "_")
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise LoadFailed("module-import", f"module {name!r} cannot be imported from {path.name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # dataclasses and annotations look their module up here
    sys.path.insert(0, str(base))  # what stands beside it may be imported by its plain name
    try:
        spec.loader.exec_module(module)
    except Exception as e:
        del sys.modules[unique]
        raise LoadFailed("module-import", f"module {name!r} cannot be imported: {type(e).__name__}: {e}") from e
    finally:
        if str(base) in sys.path:
            sys.path.remove(str(base))
    _loaded[path] = module
    return module
