"""Turn the name of a model into the endpoint that serves it. Calls nothing and reads no file; a missing key is no error here.

What counts, from the top: the override of the command line, the project's alias, the flow's alias, the provider's table in the file,
the environment, the ready entry. A key is bound to the server that it was meant for: naming another `base_url` leaves it behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from flowkit.config.ready import READY
from flowkit.config.settings import MODEL_KEYS, FromEnvironment, Price, RateLimit, Settings, address, origin, read
from flowkit.endpoints import Endpoint, Secret
from flowkit.errors import ConfigError
from flowkit.spelling import did_you_mean, nearest

#: Stands for an address that is not known yet, so that a flow can be checked without it; no request ever goes there.
_NOWHERE = "https://address-not-set.invalid"


class FlowModel(Protocol):
    """An alias as a flow writes it: `flowkit.spec.ModelSpec`."""

    @property
    def model(self) -> str:
        """`provider/model` or another alias."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """The other keys of the table."""
        ...


class UnknownModel(ConfigError):
    """A name leads to no model; `.hint` is the way out."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(f"{message}: {hint}" if hint else message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Resolved:
    """Where a name leads. `chain` holds the name, then each alias on the way, then `provider/model`."""

    endpoint: Endpoint
    params: Mapping[str, Any]
    chain: tuple[str, ...]
    #: Seconds for one attempt, if the configuration says so.
    timeout: float | None = None
    price: Price | None = None
    #: What must be set before the first call, in words; None when nothing is missing.
    missing: str | None = None

    def require_key(self) -> None:
        """Refuse to go on without what a call needs; checking a flow needs no key, running it does.

        Raises:
            ConfigError: it names the variable to set.
        """
        if self.missing:
            raise ConfigError(self.missing)


@dataclass(frozen=True, slots=True)
class Origin:
    """One setting that is in force, its value fit to be shown, and where it was said."""

    key: str
    value: str
    where: str


@dataclass(frozen=True, slots=True)
class Config:
    """What the project and the environment say about models."""

    #: Name of the configuration file as messages show it; None when there is none.
    file: str | None = None
    providers: Mapping[str, Settings] = field(default_factory=dict)
    aliases: Mapping[str, Settings] = field(default_factory=dict)
    #: For all requests: the address of a proxy, and a file of certificates to trust.
    proxy: str | None = None
    ca_file: str | None = None
    #: The environment; it holds keys, so it is never shown.
    env: Mapping[str, str] = field(default_factory=dict, repr=False)

    def resolve(self, model: str, flow_models: Mapping[str, FlowModel], overrides: Mapping[str, str]) -> Resolved:
        """Follow a name to a server. Needs no key, so that a flow can be checked without one.

        Raises:
            UnknownModel: the name, or an alias on its way, leads nowhere or in a circle.
            ConfigError: a setting on the way is wrong.
        """
        said, chain = self._follow(model, flow_models, overrides)
        name = chain[-1]
        provider, slash, served = name.partition("/")
        if slash and (provider in self.providers or provider in READY):
            if not served:
                raise UnknownModel(f"model {name!r} names a provider but no model", f"write it like {provider}/MODEL")
            said = said.over(self._provider(provider))
        elif said.base_url:  # a table with its own address needs no provider
            provider, served, name = "", name, chain[-2]
        else:
            raise self._unknown(chain, flow_models, overrides)
        return self._endpoint(said, name=name, provider=provider, served=served, chain=chain)

    def origins(self) -> tuple[Origin, ...]:
        """Return what is in force and where it was said: the providers that someone set up, and all aliases. Shows no secret."""
        return tuple(self._origins())

    # -- names --------------------------------------------------------------------------------------------

    def _follow(self, model: str, flow_models: Mapping[str, FlowModel], overrides: Mapping[str, str]) -> tuple[Settings, tuple[str, ...]]:
        said = Settings()
        chain: tuple[str, ...] = (model,)
        while True:
            name = chain[-1]
            if name in overrides:
                table = Settings(model=overrides[name])
            elif name in self.aliases:
                table = self.aliases[name]
            elif name in flow_models:
                table = flow_settings(name, flow_models[name])
            else:
                return said, chain
            said = said.over(table)
            target = table.model or ""
            if target in chain:
                circle = " → ".join((*chain, target))
                raise UnknownModel(f"model {model!r} leads in a circle: {circle}", "let one of them name provider/model")
            chain = (*chain, target)

    def _unknown(self, chain: tuple[str, ...], flow_models: Mapping[str, FlowModel], overrides: Mapping[str, str]) -> UnknownModel:
        name = chain[-1]
        provider, slash, served = name.partition("/")
        way = f" ({' → '.join(chain)})" if len(chain) > 1 else ""
        providers = sorted({*READY, *self.providers})
        aliases = [*self.aliases, *flow_models, *overrides]
        if slash:
            guess = nearest(provider, providers)
            hint = f"did you mean {f'{guess}/{served}'!r}?" if guess else f"known are {', '.join(providers)}; others under [providers]"
            return UnknownModel(f"model {name!r}: there is no provider {provider!r}{way}", hint)
        if name in providers:
            return UnknownModel(f"model {name!r} names a provider but no model{way}", f"write it like {name}/MODEL")
        file = self.file or "flowkit.toml"
        hint = did_you_mean(name, aliases) or f"write provider/model, or define the alias under [models] in {file}"
        return UnknownModel(f"there is no model {name!r}{way}", hint)

    # -- servers ------------------------------------------------------------------------------------------

    def _provider(self, name: str) -> Settings:
        known = self._ambient(name).over(READY.get(name, Settings()))
        return self.providers.get(name, Settings()).over(known)

    def _ambient(self, name: str) -> Settings:
        """What the environment alone says about a provider."""
        if name == "openai":
            headers = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
            named = {header: FromEnvironment(variable) for header, variable in headers.items() if self._variable(variable)}
            base = self._address("OPENAI_BASE_URL", "OPENAI_API_BASE")
            if base is None:
                return Settings(headers=named)
            # Key and address stand side by side in the environment, so they belong together; a local server needs no key.
            ready = READY["openai"]
            at_home = origin(base) == origin(ready.base_url or "")
            return Settings(base_url=base, api_key_env=ready.api_key_env, key_required=at_home, headers=named)
        if name == "azure":
            base = self._address("AZURE_OPENAI_ENDPOINT")
            version = self._variable("AZURE_OPENAI_API_VERSION") or self._variable("OPENAI_API_VERSION")
            token = not self._variable("AZURE_OPENAI_API_KEY") and bool(self._variable("AZURE_OPENAI_AD_TOKEN"))
            return Settings(
                base_url=base,
                api_version=version,
                api_key_env=("AZURE_OPENAI_AD_TOKEN" if token else "AZURE_OPENAI_API_KEY",),
                key_required=True,
                api_style="bearer" if token else "azure",
            )
        return Settings()

    def _variable(self, name: str) -> str | None:
        return self.env.get(name, "").strip() or None

    def _address(self, *names: str) -> str | None:
        for name in names:
            if value := self._variable(name):
                try:
                    return address(value)
                except ValueError as mistake:
                    raise ConfigError(f"environment: {name} {mistake}") from None
        return None

    def _endpoint(self, said: Settings, *, name: str, provider: str, served: str, chain: tuple[str, ...]) -> Resolved:
        key, missing = self._key(said, name, provider)
        headers: dict[str, str] = {}
        for header, value in said.headers.items():
            if not isinstance(value, FromEnvironment):
                headers[header] = value
            elif ambient := self._variable(value.variable):
                headers[header] = ambient
            else:
                missing = missing or f"no value for the header {header!r} of {name!r}: set the variable {value.variable}"
        base = said.base_url
        if base is None:
            missing = f"no address for {name!r}: set AZURE_OPENAI_ENDPOINT, or base_url under [providers.{provider}]"
        elif provider == "azure" or said.api_style == "azure":
            base = _azure(base, said.api_version, served)
        limit = said.rate_limit or RateLimit()
        stated = {
            "structured": said.structured,
            "max_parallel": said.max_parallel,
            "requests_per_minute": limit.requests_per_minute,
            "tokens_per_minute": limit.tokens_per_minute,
            "api_style": said.api_style,
            "api_version": said.api_version,
            "max_tokens_key": said.max_tokens_key,
            "stream_usage": said.stream_usage,
            "return_reasoning": said.return_reasoning,
            "lengths": said.lengths,
        }
        others: dict[str, Any] = {key: value for key, value in stated.items() if value is not None}
        from_environment = frozenset(header for header, value in said.headers.items() if isinstance(value, FromEnvironment))
        endpoint = Endpoint(name, base or _NOWHERE, served, key, headers, from_environment, **others)
        return Resolved(endpoint, dict(said.params), chain, said.timeout, said.price, missing)

    def _key(self, said: Settings, name: str, provider: str) -> tuple[Secret | None, str | None]:
        for variable in said.api_key_env:
            if value := self._variable(variable):
                try:
                    return Secret(value, name=f"the key in {variable}"), None
                except ConfigError as mistake:  # told when a call is near: a check needs no key, so it minds no bad one
                    return None, str(mistake)
        if said.key_required:
            return None, f"no key for {name!r}: set the variable {' or '.join(said.api_key_env)}"
        ready = READY.get(provider)
        at_home = ready is not None and ready.base_url and said.base_url and origin(ready.base_url) == origin(said.base_url)
        if not said.api_key_env and ready is not None and ready.key_required and (at_home or said.api_style == "azure"):
            return None, f"no key for {name!r}: a base_url takes no key along, so name its variable with api_key_env beside it"
        return None, None

    # -- for doctor ---------------------------------------------------------------------------------------

    def _origins(self) -> Iterator[Origin]:
        file = self.file or "flowkit.toml"
        for name in sorted({*READY, *self.providers}):
            written = self.providers.get(name)
            keys = READY[name].api_key_env if name in READY else ()
            if written is None and name != "openai" and not any(self._variable(each) for each in keys):
                continue
            label = f"providers.{name}"
            try:
                ambient, known = self._ambient(name), self._provider(name)
            except ConfigError as mistake:
                yield Origin(f"{label}.base_url", str(mistake), "environment")
                continue
            where = file if written and written.base_url else "environment" if ambient.base_url else "ready entry"
            yield Origin(f"{label}.base_url", known.base_url or "not set", where)
            yield self._key_origin(label, known)
            for each in fields(Settings) if written else ():
                value = getattr(written, each.name)
                if each.name not in ("base_url", "api_key_env", "key_required", "model") and value not in (None, {}):
                    yield Origin(f"{label}.{each.name}", _shown(value), file)
        for name, table in self.aliases.items():
            yield Origin(f"models.{name}", table.model or "", file)

    def _key_origin(self, label: str, known: Settings) -> Origin:
        for variable in known.api_key_env:
            if self._variable(variable):
                return Origin(f"{label}.api_key", "set", f"environment: {variable}")
        value = "not set" if known.key_required else "none needed" if not known.api_key_env else "not set, not needed"
        return Origin(f"{label}.api_key", value, f"environment: {' or '.join(known.api_key_env)}" if known.api_key_env else "")


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        shown = (f"{k}: from {v.variable}" if isinstance(v, FromEnvironment) else f"{k}: {v}" for k, v in value.items())
        return ", ".join(shown)
    return str(value)


def _azure(base: str, version: str | None, deployment: str) -> str:
    """Spell the address of a deployment; an address that already leads somewhere is kept.

    A dated version names the older surface, in which the deployment is part of the path; without one there is `/openai/v1`.
    """
    if urlsplit(base).path not in ("", "/", "/openai"):
        return base
    home = base.removesuffix("/openai")
    return f"{home}/openai/deployments/{quote(deployment, safe='')}" if version and version[0].isdigit() else f"{home}/openai/v1"


def flow_settings(name: str, written: FlowModel) -> Settings:
    """Check the alias of a flow.

    Raises:
        ConfigError: with every mistake in its settings.
    """
    wrong: list[str] = []
    table = {key: value for key, value in written.settings.items() if key != "model"}
    said = read({"model": written.model, **table}, MODEL_KEYS, f"models.{name}", wrong)
    if wrong:
        raise ConfigError("\n".join(wrong))
    return said
