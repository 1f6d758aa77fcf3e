"""Find Python objects that a flow names: beside the flow, in the project root, then among installed packages."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
#: What modules of a folder imported by plain names: of two folders that both have a `helper.py`, each gets its own.
_beside: dict[Path, dict[str, ModuleType]] = {}


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


def find(reference: str, *, beside: Path, root: Path) -> Path | None:
    """Return the file of the project that `pkg.mod:name` leads to; None for an installed package, and where it leads nowhere."""
    found = _file(reference.partition(":")[0], beside.parent, root)
    return None if found is None else found[0]


def _file(name: str, folder: Path, root: Path) -> tuple[Path, Path] | None:
    """Return the file of a module, and the folder from which it is named."""
    if not all(part.isidentifier() for part in name.split(".")):
        return None
    for base in dict.fromkeys((folder, root)):
        stem = base.joinpath(*name.split("."))
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                return path.resolve(), base
    return None


def _module(name: str, folder: Path, root: Path) -> ModuleType:
    if (found := _file(name, folder, root)) is not None:
        return _from_file(name, *found)
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
    try:
        with _importing(base):
            spec.loader.exec_module(module)
    except Exception as e:
        del sys.modules[unique]
        raise LoadFailed("module-import", f"module {name!r} cannot be imported: {type(e).__name__}: {e}") from e
    _loaded[path] = module
    return module


@contextmanager
def _importing(base: Path) -> Iterator[None]:
    """Let what stands in a folder be imported by its plain name, whatever other folders have under that name."""
    for folder in [folder for folder in _beside if folder != base]:
        for name, module in _beside[folder].items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        if not folder.exists():  # a flow that was laid out for a while
            del _beside[folder]
    own = _beside.setdefault(base, {})
    sys.modules.update({name: module for name, module in own.items() if name not in sys.modules})
    before = set(sys.modules)
    sys.path.insert(0, str(base))
    try:
        yield
    finally:
        if str(base) in sys.path:
            sys.path.remove(str(base))
        own.update({name: sys.modules[name] for name in sys.modules.keys() - before if _within(sys.modules[name], base)})


def _within(module: ModuleType, base: Path) -> bool:
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(isinstance(place, str) and Path(place).is_relative_to(base) for place in places)
