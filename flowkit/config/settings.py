"""Turn the table of a provider or a model into checked settings, and lay tables over each other. Knows no file and no environment."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, TypeAlias
from urllib.parse import SplitResult, parse_qsl, urlsplit

from flowkit.chat import STRUCTURED, Structured
from flowkit.keys import RESERVED_PARAMS, SECRET_KEYS, Shape
from flowkit.keys.params import PARAMS
from flowkit.spelling import did_you_mean, nearest

#: The keys of a table under `models` in a flow.
MODEL_KEYS = ("model", "base_url", "api_key_env", "structured", "params", "max_parallel", "rate_limit", "price", "headers")
#: What only the project's own file may say: how a server wants to be spoken to.
DIALECT_KEYS = ("api_style", "api_version", "max_tokens_key", "stream_usage", "return_reasoning", "lengths", "timeout")
#: The keys of a table under `[models]` in flowkit.toml.
ALIAS_KEYS = MODEL_KEYS + DIALECT_KEYS
#: The keys of a `[providers.NAME]` table.
PROVIDER_KEYS = ALIAS_KEYS[1:]

Origin: TypeAlias = tuple[str, str, int | None]


@dataclass(frozen=True, slots=True)
class FromEnvironment:
    """A header's value that stands in a variable, as `{env = "NAME"}`."""

    variable: str


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What a server allows in a minute; None: not known."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens. `cached` is for input tokens that the server had in its cache; None: as `input`."""

    input: Decimal
    output: Decimal
    cached: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What one table says; None (or an empty mapping) where it says nothing."""

    model: str | None = None
    base_url: str | None = None
    #: The variables that may hold the key: the first one that is set counts.
    api_key_env: tuple[str, ...] = ()
    #: Whether a call without the key is pointless; None where the table names no key.
    key_required: bool | None = None
    structured: Structured | Literal["auto"] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    max_parallel: int | None = None
    rate_limit: RateLimit | None = None
    price: Price | None = None
    headers: Mapping[str, str | FromEnvironment] = field(default_factory=dict)
    api_style: Literal["bearer", "azure"] | None = None
    api_version: str | None = None
    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] | None = None
    stream_usage: bool | None = None
    return_reasoning: bool | None = None
    lengths: bool | None = None
    #: Seconds for one attempt.
    timeout: float | None = None

    def over(self, below: Settings) -> Settings:
        """Lay this table over another: what this one says counts.

        A key, and headers, are meant for one server: when this table names another server, those below do not follow there.
        """
        if self.base_url and (below.base_url is None or origin(self.base_url) != origin(below.base_url)):
            below = below.elsewhere()
        merged: dict[str, Any] = {}
        for each in fields(self):
            mine, other = getattr(self, each.name), getattr(below, each.name)
            if each.name in ("params", "headers"):
                merged[each.name] = {**other, **mine}
            else:
                merged[each.name] = other if mine is None or mine == () else mine
        return Settings(**merged)

    def elsewhere(self) -> Settings:
        """Return what of this table holds for another server too: nothing secret."""
        kept = {each.name: getattr(self, each.name) for each in fields(self)}
        kept.update(api_key_env=(), key_required=None, headers={})
        if self.max_tokens_key == "max_completion_tokens":  # the younger name: most compatible servers do not know it
            kept["max_tokens_key"] = None
        return Settings(**kept)


def origin(url: str) -> Origin:
    """Return scheme, host and port: what a key is bound to."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def read(table: Mapping[str, Any], keys: tuple[str, ...], where: str, wrong: list[str]) -> Settings:
    """Check one table; each mistake is added to `wrong`, with `where` and the key, never with a value that may be secret."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key.lower().replace("-", "_") in SECRET_KEYS:
            wrong.append(f"{where}.{key}: a key is never written down: put it into a variable and name that with api_key_env")
        elif key not in keys:
            wrong.append(f"{where}.{key}: unknown key{known(key, keys)}")
        else:
            try:
                found[key] = _READERS[key](value)
            except ValueError as mistake:
                wrong.append(f"{where}.{key}: {mistake}")
    if found.get("api_key_env"):
        found["key_required"] = True
    return Settings(**found)


def address(value: object) -> str:
    """Check the address of a server; a mistake never repeats an address that may hold a password.

    Raises:
        ValueError: it is no http(s) address, or carries a user, a password or a key.
    """
    text = _text(value)
    try:
        parts: SplitResult | None = urlsplit(text)
        port_right = parts is None or parts.port is None or parts.port > 0
    except ValueError:
        parts, port_right = None, False
    if "@" in text:
        raise ValueError("carries a user or a password: put the key into a variable and name that with api_key_env")
    if parts is None or not port_right or parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", text):
        raise ValueError("is no http(s) address: write it like https://host/v1")
    if any(name.lower() in SECRET_KEYS or name == "sig" for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise ValueError("carries a key in its query: put the key into a variable and name that with api_key_env")
    return text.rstrip("/")


# -- one reader for each key ---------------------------------------------------------------------------------

_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def known(key: str, keys: tuple[str, ...]) -> str:
    """Return the end of a sentence about an unknown key: the nearest one, or all."""
    guess = nearest(key, keys)
    return f"; did you mean {guess!r}?" if guess else f"; known are {', '.join(sorted(keys))}"


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"must be text, not {_kind(value)}")
    return value.strip()


def _kind(value: object) -> str:
    if value == "":
        return "empty"
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a table"}
    return names.get(type(value), f"a {type(value).__name__}")


def _table(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a table, not {_kind(value)}")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {_kind(value)}")
    return value


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("must be a whole number of at least 1")
    return value


def _word(*words: str) -> Callable[[Any], str]:
    def read_word(value: object) -> str:
        if value not in words:
            guess = nearest(value, words) if isinstance(value, str) else None
            raise ValueError(f"must be {' or '.join(words)}" + (f"; did you mean {guess!r}?" if guess else ""))
        return str(value)

    return read_word


def _variable(value: object) -> tuple[str, ...]:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value) or value.startswith("sk_"):
        # Not repeated: people paste the key itself here.
        raise ValueError("must be the name of an environment variable, such as MY_API_KEY; the key itself is never written down")
    return (value,)


def _seconds(value: object) -> float:
    seconds = 0.0
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and (written := _DURATION.fullmatch(value.strip())):
        seconds = float(written[1]) * _SECONDS[written[2]]
    if not 0 < seconds < float("inf"):
        raise ValueError("must be a duration such as 30s, 5m or a number of seconds")
    return seconds


def _amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or not 0 <= value < float("inf"):
        raise ValueError("must be a number of US dollars for a million tokens")
    return Decimal(str(value))


def _fields(value: object, read_one: Callable[[Any], Any], names: tuple[str, ...], needed: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, each in _table(value).items():
        if name not in names:
            raise ValueError(f"has the unknown key {name!r}{known(name, names)}")
        try:
            found[name] = read_one(each)
        except ValueError as mistake:
            raise ValueError(f"{name} {mistake}") from None
    if missing := [name for name in needed if name not in found]:
        raise ValueError(f"lacks {' and '.join(missing)}")
    return found


def _rate_limit(value: object) -> RateLimit:
    return RateLimit(**_fields(value, _count, ("requests_per_minute", "tokens_per_minute")))


def _price(value: object) -> Price:
    return Price(**_fields(value, _amount, ("input", "output", "cached"), needed=("input", "output")))


def _params(value: object) -> Mapping[str, Any]:
    params = _table(value)
    for name, each in params.items():
        key = PARAMS.get(name)
        if name in RESERVED_PARAMS:
            raise ValueError(f"holds {name!r}, which has no place here: {RESERVED_PARAMS[name]}")
        if key is None:
            guess = did_you_mean(name, PARAMS.names()) or "what only some servers know stands under extra_body"
            raise ValueError(f"has the unknown key {name!r}; {guess}")
        if each is not None and not _admits(key.shape, each):
            raise ValueError(f"{name!r} has a value that cannot be: write it like `{key.example}`")
    return MappingProxyType(dict(params))


def _admits(shape: Shape, value: object) -> bool:
    """Whether plain data fits the shape of a parameter."""
    match shape.kind:
        case "word":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer" | "number":
            right = isinstance(value, int if shape.kind == "integer" else (int, float)) and not isinstance(value, bool)
            low, high = (-math.inf if shape.min is None else shape.min), (math.inf if shape.max is None else shape.max)
            return right and low <= value <= high  # type: ignore[operator]  # a number, by the line above
        case "list":
            return isinstance(value, list) and all(_admits(shape.of[0], each) for each in value)
        case "map":
            return isinstance(value, Mapping) and all(_admits(shape.of[0], each) for each in value.values())
        case "either":
            return any(_admits(each, value) for each in shape.of)
    return True


def _headers(value: object) -> Mapping[str, str | FromEnvironment]:
    found: dict[str, str | FromEnvironment] = {}
    for name, each in _table(value).items():
        if isinstance(each, Mapping) and set(each) == {"env"}:
            found[name] = FromEnvironment(_variable(each["env"])[0])
        elif not isinstance(each, str):
            raise ValueError(f'{name!r} must be text or {{env = "VARIABLE"}}, not {_kind(each)}')
        elif _SECRET_HEADER.search(name):
            raise ValueError(f'{name!r} may carry a secret, which is never written down: write {{env = "VARIABLE"}}')
        else:
            found[name] = each
    return MappingProxyType(found)


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "model": _text,
    "base_url": address,
    "api_key_env": _variable,
    "structured": _word("auto", *STRUCTURED),
    "params": _params,
    "max_parallel": _count,
    "rate_limit": _rate_limit,
    "price": _price,
    "headers": _headers,
    "api_style": _word("bearer", "azure"),
    "api_version": _text,
    "max_tokens_key": _word("max_tokens", "max_completion_tokens"),
    "stream_usage": _boolean,
    "return_reasoning": _boolean,
    "lengths": _boolean,
    "timeout": _seconds,
}
