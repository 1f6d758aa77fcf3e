"""Where a model is served and how its server likes to be asked. Knows no file, no environment and no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from flowkit.chat import Structured
from flowkit.errors import ConfigError

#: What stands where a secret stood.
HIDDEN = "***"

#: Shorter keys are placeholders (`EMPTY`, `none`, `x`) for servers that need none; to hide them would garble every text with that word.
SHORTEST_SECRET = 12


class Secret:
    """A key that shows itself only to `reveal()`: its repr, str and format are hidden.

    Raises:
        ConfigError: it is empty, has blanks at an end or inside, or is not printable ASCII; the text never shows it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str, *, name: str = "API key") -> None:
        if not value:
            raise ConfigError(f"{name} is empty: set it, or leave it out for a server that needs none")
        if value != value.strip():
            raise ConfigError(f"{name} has blanks or a line end around it: store it without them")
        if not all("!" <= char <= "~" for char in value):
            raise ConfigError(f"{name} holds characters that no HTTP header may carry: copy it again, as plain ASCII")
        self._value = value

    def reveal(self) -> str:
        """Return the key itself, for the one header that carries it."""
        return self._value

    def redact(self, text: str) -> str:
        """Replace each exact occurrence of the key, unless it is too short to be one."""
        return text if self.placeholder else text.replace(self._value, HIDDEN)

    @property
    def placeholder(self) -> bool:
        """Whether the key is too short to be a real one, so that answers may hold it as a word."""
        return len(self._value) < SHORTEST_SECRET

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str | tuple[object, ...]:
        """Refuse to be pickled or copied into anything that is written down."""
        raise TypeError("a Secret cannot be pickled")


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """Replace each exact occurrence of each secret in the text."""
    for secret in secrets:
        text = secret.redact(text)
    return text


class Veil:
    """Takes secrets out of a text that comes in pieces: what may be the beginning of one is held back until it is clear."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._secrets = tuple(secret.reveal() for secret in secrets if not secret.placeholder)
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what of the text so far can be shown."""
        if not self._secrets:
            return piece
        text = self._held + piece
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        sure = min(_start(text, secret) for secret in self._secrets)
        self._held = text[sure:]
        return text[:sure]

    def finish(self) -> str:
        """Return what was still held back."""
        held, self._held = self._held, ""
        return held


def _start(text: str, secret: str) -> int:
    """Where the end of the text may be the beginning of the secret; its length if nowhere."""
    at = text.find(secret[0], max(0, len(text) - len(secret) + 1))
    while at >= 0 and not secret.startswith(text[at:]):
        at = text.find(secret[0], at + 1)
    return at if at >= 0 else len(text)


@dataclass(frozen=True, slots=True, repr=False)
class Endpoint:
    """One model at one server, as the configuration describes it. Equal endpoints share one limiter and one memory.

    Raises:
        ConfigError: the address is not an http(s) URL, or a header cannot be sent.
    """

    #: What people call it: the alias, or `provider/model`.
    name: str
    base_url: str
    #: The model as the server knows it.
    model: str
    api_key: Secret | None = None
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    #: Names of headers whose values no text may show; those that are called like a key need not be named.
    secret_headers: frozenset[str] = frozenset()
    #: How typed answers are asked for; `auto` starts with `json_schema` and steps down when the server refuses.
    structured: Structured | Literal["auto"] = "auto"
    max_parallel: int = 16
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    #: `azure`: the key in an `api-key` header and `api-version` in the query.
    api_style: Literal["bearer", "azure"] = "bearer"
    api_version: str | None = None
    #: Name under which the server knows the limit of answer tokens; the other one is renamed to it. None: as the flow says.
    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] | None = None
    #: Whether a streamed request may ask for usage (`stream_options.include_usage`); some servers refuse it.
    stream_usage: bool = True
    #: Whether the server wants its `reasoning_content` back beside the tool calls of a message; others refuse the key.
    return_reasoning: bool = False
    #: Whether the server's strict schemas know `minLength` and `maxLength`.
    lengths: bool = False

    def __post_init__(self) -> None:
        try:
            url = urlsplit(self.base_url)
            sound = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and self.base_url.isprintable()
        except ValueError:
            sound = False
        if not sound:
            raise ConfigError(f"base_url {self.base_url!r} of {self.name!r} is no http(s) address: write it like https://host/v1")
        if url.username or url.password:
            raise ConfigError(f"base_url of {self.name!r} carries a user or password: put the key into api_key_env")
        for name, value in self.headers.items():
            if not _sendable(name, value):
                raise ConfigError(f"header {name!r} of {self.name!r} cannot be sent: names are words, values one line of ASCII")

    def __repr__(self) -> str:
        return f"<Endpoint {self.name!r} at {self.host}>"

    @property
    def url(self) -> str:
        """The address of chat completions: appended to the path of the base, its query kept."""
        parts = urlsplit(self.base_url)
        query = parts.query
        if self.api_version and "api-version=" not in query:
            query = f"{query}&api-version={self.api_version}" if query else f"api-version={self.api_version}"
        path = parts.path.rstrip("/")
        if not path.endswith("/chat/completions"):
            path += "/chat/completions"
        return parts._replace(path=path, query=query, fragment="").geturl()

    @property
    def host(self) -> str:
        """Host and port, for people."""
        return urlsplit(self.base_url).netloc

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All that no text may show: the key, and the values of headers and of the query that carry one; the longest first."""
        found = {self.api_key} if self.api_key else set()
        carried = [(name, value, name in self.secret_headers) for name, value in self.headers.items()]
        carried += [(name, value, False) for name, value in parse_qsl(urlsplit(self.base_url).query)]
        for name, value, said in carried:
            # Shorter words are no secrets, and taking them out would riddle every text.
            word = value.strip().rpartition(" ")[2]
            if (said or _names_a_secret(name)) and len(word) >= 8 and all("!" <= char <= "~" for char in word):
                found.add(Secret(word, name=f"header {name}"))
        return tuple(sorted(found, key=lambda secret: (-len(secret.reveal()), secret.reveal())))


def _sendable(name: str, value: str) -> bool:
    return (
        bool(name)
        and all(char.isascii() and (char.isalnum() or char in "!#$%&'*+-.^_`|~") for char in name)
        and all(" " <= char <= "~" or char == "\t" for char in value)
    )


def _names_a_secret(header: str) -> bool:
    lowered = header.lower()
    return any(word in lowered for word in ("auth", "key", "token", "secret", "cookie"))
