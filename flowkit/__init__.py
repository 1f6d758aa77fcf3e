"""flowkit: prompts in git. One YAML file is a flow, checked whole before the first paid call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowkit.version import VERSION

if TYPE_CHECKING:
    from flowkit.batch import RowError as RowError
    from flowkit.batch import RowResult as RowResult
    from flowkit.errors import ConfigError as ConfigError
    from flowkit.errors import FlowError as FlowError
    from flowkit.errors import FlowkitError as FlowkitError
    from flowkit.errors import InputError as InputError
    from flowkit.errors import LimitReached as LimitReached
    from flowkit.errors import ModelError as ModelError
    from flowkit.errors import OutputError as OutputError
    from flowkit.errors import Problem as Problem
    from flowkit.errors import RunError as RunError
    from flowkit.errors import StoreError as StoreError
    from flowkit.flow import Flow as Flow
    from flowkit.flow import load as load
    from flowkit.results import Run as Run
    from flowkit.results import Status as Status
    from flowkit.results import StepResult as StepResult
    from flowkit.runtime import Runtime as Runtime

__version__ = VERSION

#: Where each public name lives. Imported when first used, so that `flowkit --help` pays for none of it.
_HOMES = {
    "ConfigError": "errors",
    "Flow": "flow",
    "FlowError": "errors",
    "FlowkitError": "errors",
    "InputError": "errors",
    "LimitReached": "errors",
    "ModelError": "errors",
    "OutputError": "errors",
    "Problem": "errors",
    "RowError": "batch",
    "RowResult": "batch",
    "Run": "results",
    "RunError": "errors",
    "Runtime": "runtime",
    "Status": "results",
    "StepResult": "results",
    "StoreError": "errors",
    "load": "flow",
}

__all__ = [
    "ConfigError",
    "Flow",
    "FlowError",
    "FlowkitError",
    "InputError",
    "LimitReached",
    "ModelError",
    "OutputError",
    "Problem",
    "RowError",
    "RowResult",
    "Run",
    "RunError",
    "Runtime",
    "Status",
    "StepResult",
    "StoreError",
    "load",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'flowkit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"flowkit.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
