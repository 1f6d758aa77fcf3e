"""Everything that can go wrong, as one tree; each error knows the exit code of the command line.

FlowkitError                 1
├── FlowError                2   the file is wrong; nothing was called; all `.problems`
├── InputError               2   the inputs do not fit the flow; nothing was called
├── ConfigError              2   flowkit.toml, the environment or a key; nothing was called
├── RunError                 1   a step failed; `.step`, and `.run` with all that finished
│   ├── RenderError              a template failed on the data that it met
│   ├── CallError                a Python function of a `call` step raised
│   ├── OutputError              the answer never had its declared type, or a check failed
│   ├── LimitReached         4   the next call could go beyond a limit, or the time was up
│   └── ModelError           3   the server: `.kind` says how
│       ├── ModelTimeout
│       ├── ModelUnreachable
│       ├── ModelRejected
│       └── ModelRateLimited
└── StoreError               1   the record could not be read or written
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from flowkit.results import Run

Severity = Literal["error", "warning"]

#: What a failed call is, in one word: the vocabulary of `retry.on`, `steps.x.error.kind` and the record.
Kind = Literal[
    "rate_limit",
    "server",
    "timeout",
    "connection",
    "invalid_output",
    "auth",
    "quota",
    "bad_request",
    "not_found",
    "context_length",
    "content_filter",
    "refusal",
    "output_truncated",
    "stream_truncated",
    "empty_response",
    "bad_response",
    "provider_error",
    "response_too_large",
    "render",
    "call",
    "check",
    "cancelled",
    "limit",
    "store",
    "not_recorded",
]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands in a file: 1-based line and columns in code points, `end_column` exclusive."""

    path: str
    line: int
    column: int
    end_column: int
    source: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a file, with a stable `code` (see docs/errors.md) and the way out as `hint`."""

    place: Place
    severity: Severity
    code: str
    message: str
    hint: str | None = None


class Problems:
    """Collects problems while a file is read, so that all of them are reported at once."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def error(self, code: str, place: Place, message: str, hint: str | None = None) -> None:
        """Add a mistake that keeps the flow from running."""
        self.found.append(Problem(place, "error", code, message, hint))

    def warning(self, code: str, place: Place, message: str, hint: str | None = None) -> None:
        """Add something that runs but is probably not meant."""
        self.found.append(Problem(place, "warning", code, message, hint))

    def ordered(self) -> tuple[Problem, ...]:
        """Return each problem once, by file and place."""
        return tuple(sorted(dict.fromkeys(self.found)))

    @property
    def fatal(self) -> bool:
        """Whether any problem is an error."""
        return any(p.severity == "error" for p in self.found)


class FlowkitError(Exception):
    """Base of all errors that flowkit raises on purpose."""

    exit_code = 1


class FlowError(FlowkitError):
    """A flow file is wrong; nothing ran. `.problems` holds every mistake of every file involved."""

    exit_code = 2

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__(problems)

    def __str__(self) -> str:
        lines = []
        for p in self.problems:
            lines.append(f"{p.place.path}:{p.place.line}:{p.place.column}: {p.severity}: {p.message}")
            if p.hint:
                lines.append(f"   hint: {p.hint}")
        return "\n".join(lines)


class InputError(FlowkitError):
    """Inputs do not fit what the flow declares; nothing was called."""

    exit_code = 2


class ConfigError(FlowkitError):
    """Configuration, environment or a key is wrong; nothing was called."""

    exit_code = 2


class RunError(FlowkitError):
    """A step failed. `.step` is its id, `.run` the partial Run with every step that finished."""

    kind: str = "call"

    def __init__(self, message: str, *, kind: str | None = None, step: str | None = None) -> None:
        self.message = message
        if kind is not None:
            self.kind = kind
        self.step = step
        self.run: Run | None = None
        super().__init__(message)

    def __str__(self) -> str:
        return f"step {self.step!r}: {self.message}" if self.step else self.message


class RenderError(RunError):
    """A template or expression failed on the values that it met."""

    kind = "render"


class CallError(RunError):
    """A Python function raised."""

    kind = "call"


class OutputError(RunError):
    """No answer had the declared type, or a check of the step did not hold."""

    kind = "invalid_output"


class Unknown(RunError):
    """What a step gives cannot be known without asking; only where nothing is asked."""

    kind = "unknown"


class LimitReached(RunError):
    """A limit of the run or of its batch stopped it; the message says which. It can go on with a larger one."""

    exit_code = 4
    kind = "limit"


class ModelError(RunError):
    """A server could not be asked or did not answer well; `.kind` is one word of `Kind`."""

    exit_code = 3
    kind = "server"

    def __init__(
        self,
        message: str,
        *,
        kind: str | None = None,
        step: str | None = None,
        status: int | None = None,
        code: str | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        text: str = "",
    ) -> None:
        super().__init__(message, kind=kind, step=step)
        self.status = status
        self.code = code
        self.retryable = retryable
        #: Seconds that the server asked to wait, or None.
        self.retry_after = retry_after
        #: What had been received before the failure; for the record only, never a step's output.
        self.text = text


class ModelTimeout(ModelError):
    """No complete answer within the deadline of the attempt or of the step."""

    kind = "timeout"


class ModelUnreachable(ModelError):
    """No connection, or the connection broke."""

    kind = "connection"


class ModelRejected(ModelError):
    """The server refused the request; sending it again would not help."""

    kind = "bad_request"


class ModelRateLimited(ModelError):
    """The server asked to slow down, longer or more often than the policy waits."""

    kind = "rate_limit"


class StoreError(FlowkitError):
    """The record of runs could not be read or written."""
