"""What lives as long as a service: connections, limits, configuration. Any number of runs share it."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flowkit import config, project
from flowkit.client import Client, Responder
from flowkit.config import Config, Price, Resolved, UnknownModel
from flowkit.endpoints import Endpoint
from flowkit.errors import ConfigError, StoreError
from flowkit.lookup import Recorder, Reuse
from flowkit.plan import ChatWork, Plan
from flowkit.prices import Tariff, price_of
from flowkit.simulator import Simulator
from flowkit.store import home, open_store
from flowkit.version import VERSION

_FREE = Tariff(Price(Decimal(0), Decimal(0)))


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=2)


class Runtime:
    """Asks servers for any number of runs; use it as `async with flowkit.Runtime() as runtime`.

    Connections and limits belong to an event loop and live while one is inside of `async with`; a run is, while it lasts.
    `models` maps an alias to another model, above all configuration. `simulate` answers in process: True for values that fit the
    types, or a server of `flowkit.testing`. `env` is read in place of the process's environment.

    `record` True keeps every run in the record of its project, or in the folder that is named. `cache` says whether answers in it are
    used again: None where the flow asks for it, True wherever the flow does not forbid it, False never. `warn` is told what the
    record has to say, and `clock` gives the seconds since 1970 that stand in it.
    """

    def __init__(
        self,
        *,
        models: Mapping[str, str] | None = None,
        simulate: bool | Responder = False,
        env: Mapping[str, str] | None = None,
        record: bool | str | Path = False,
        cache: bool | None = None,
        warn: Callable[[str], None] = _warn,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._overrides = dict(models or {})
        self._env = os.environ if env is None else env
        self._responder: Responder | None = (Simulator() if simulate else None) if isinstance(simulate, bool) else simulate
        self._fresh = simulate is True
        self._configs: dict[Path, Config] = {}
        self._resolved: dict[tuple[str, Path], Resolved] = {}
        self._clients: dict[asyncio.AbstractEventLoop, Client] = {}
        self._users: dict[asyncio.AbstractEventLoop, int] = {}
        self._record = record
        self._reuse: Reuse = "asked" if cache is None else "on" if cache else "off"
        #: Is told what the record has to say.
        self.warn = warn
        self._clock = clock
        #: Held for a moment: event loops of several threads may come and go at once.
        self._lock = threading.Lock()
        self._recorders: dict[Path, Recorder] = {}
        #: Where the record of each flow lies.
        self._homes: dict[Path, Path] = {}

    @property
    def simulated(self) -> bool:
        """Whether no server is ever asked."""
        return self._responder is not None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        with self._lock:
            self._users[loop] = self._users.get(loop, 0) + 1
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        loop = asyncio.get_running_loop()
        with self._lock:
            self._users[loop] -= 1
            if self._users[loop]:
                return
        client = self._clients.pop(loop, None)
        if client is not None:
            await client.__aexit__(kind, error, trace)
        with self._lock:
            if not self._users[loop]:  # nobody came while the client was closed
                del self._users[loop]
            left = self._forget() if not self._users else {}
        self._close(left)

    def close(self) -> None:
        """Close the records. A runtime that is used as `async with` does so itself."""
        with self._lock:
            left = self._forget()
        self._close(left)

    def _forget(self) -> dict[Path, Recorder]:
        left, self._recorders = self._recorders, {}
        return left

    def _close(self, recorders: Mapping[Path, Recorder]) -> None:
        for recorder in recorders.values():
            try:
                recorder.store.close()
            except StoreError as error:
                if str(error) != recorder.told:
                    self.warn(str(error))

    def recorder(self, plan: Plan) -> Recorder | None:
        """Return the record of the project of a flow, None where nothing is kept. Raises StoreError."""
        if self._record is False:
            return None
        if plan.path not in self._homes:
            self._homes[plan.path] = home(project.find(plan.path), self._env) if self._record is True else Path(self._record)
        folder = self._homes[plan.path]
        with self._lock:
            if folder not in self._recorders:
                store = open_store(folder, version=VERSION, warn=self.warn, clock=self._clock)
                self._recorders[folder] = Recorder(store, VERSION, self._clock, self._reuse)
            return self._recorders[folder]

    def tariff(self, resolved: Resolved, params: Mapping[str, Any]) -> Tariff | None:
        """Return what a model costs now, None where nobody said it. A simulated one costs nothing."""
        return _FREE if self.simulated else price_of(resolved, at=datetime.now(UTC), params=params)

    def config(self, path: Path) -> Config:
        """Return the configuration of the project of a file. Raises ConfigError."""
        found = project.find(path)
        if found.root not in self._configs:
            self._configs[found.root] = config.load(found, self._env)
        return self._configs[found.root]

    def resolve(self, model: str, plan: Plan) -> Resolved:
        """Return the server behind the name of a model in a flow. Raises ConfigError."""
        key = (model, plan.path)
        found = self._resolved.get(key)
        if found is None:
            found = self._resolved[key] = self._resolve(model, plan)
        return found

    def configured(self, model: str, plan: Plan) -> Resolved:
        """Return what the configuration says of a model, also where nothing is asked. Raises ConfigError."""
        return self.config(plan.path).resolve(model or "default", plan.models, self._overrides)

    def _resolve(self, model: str, plan: Plan) -> Resolved:
        if self._responder is None and not model:
            hint = "set `model:` on the step or under `defaults:`, or give one with -m default=provider/model"
            raise ConfigError(f"{plan.shown}: a step has no model: {hint}")
        try:
            return self.configured(model, plan)
        except ConfigError:
            if self._responder is None:
                raise
            # Nothing is asked, so any name will do.
            name = model or "simulated"
            return Resolved(Endpoint(name, "http://simulated.invalid/v1", name, lengths=True), {}, (name,))

    def client_for(self, plan: Plan) -> Client:
        """Return the client that all runs of this event loop share; made when first asked for."""
        if self._fresh:
            # Nothing is shared with a server that is not there, and a run that answers as the last one did can be repeated.
            return Client(_taught(Simulator(), plan))
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            known = self.config(plan.path)
            client = self._clients[loop] = Client(self._responder, proxy=known.proxy, ca_file=known.ca_file)
        if self._responder is not None:
            _taught(self._responder, plan)
        return client

    def require_prices(self, plan: Plan) -> None:
        """Refuse a limit of cost that cannot be kept, before anything is asked. Raises ConfigError."""
        found = [
            self.resolve(name, owner)
            for _, owner, step in plan.walk()
            if isinstance(step.work, ChatWork)
            for name in step.work.models or ("",)
        ]
        unknown = {each.endpoint.name: None for each in found if self.tariff(each, each.params) is None}
        if unknown:
            names = ", ".join(unknown)
            raise ConfigError(
                f"a limit of cost needs the price of every model that may be asked, and that of {names} is unknown: give it a `price` in"
                " flowkit.toml or under `models` of the flow (the extra `prices` knows those of public servers)"
            )

    def require(self, plan: Plan) -> None:
        """Refuse a plan whose models cannot be asked, before anything is. Raises ConfigError."""
        missing: dict[str, None] = {}
        for path, owner, step in plan.walk():
            if not isinstance(step.work, ChatWork):
                continue
            for name in step.work.models or ("",):
                try:
                    found = self.resolve(name, owner)
                    if self._responder is None:
                        found.require_key()
                except UnknownModel as e:
                    missing[f"step {path!r}: {e}"] = None
                except ConfigError as e:
                    missing[str(e)] = None
        if missing:
            raise ConfigError("\n".join(missing))


def _taught(responder: Responder, plan: Plan) -> Responder:
    if hasattr(responder, "learn"):
        responder.learn({path: step.type for path, _, step in plan.walk()})
    return responder


def plain_inputs(given: Mapping[str, Any] | None, named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of a run from a mapping and from keyword arguments, which win."""
    return {**(given or {}), **named}
