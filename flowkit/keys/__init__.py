"""The keys of the flow file: every mapping of the format as a table. Knows what may be written where, not what it does.

From these tables come the parser's check for unknown keys, the JSON Schema for editors (`schema`) and the format reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowkit.keys import file, params, step, tests
from flowkit.keys.params import RESERVED_PARAMS
from flowkit.keys.shapes import Key, Shape, StepKind, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLES: Mapping[str, Table] = {
    t.name: t
    for t in (
        file.FLOW,
        file.DEFAULTS,
        file.LIMITS,
        file.VALUE,
        file.FIELD,
        file.MODEL_TABLE,
        file.HEADER,
        file.RATE_LIMIT,
        file.PRICE,
        step.STEP,
        step.MESSAGE,
        step.PART,
        step.IMAGE_URL,
        step.INPUT_AUDIO,
        step.FILE,
        step.EXAMPLE,
        step.REPEAT,
        step.CHECK,
        step.RETRY,
        step.TIMEOUT,
        step.ON_ERROR,
        step.VARIANT,
        params.PARAMS,
        *tests.TABLES.values(),
    )
}

#: Words that no `as` and no name under `set` may be: they mean something in every expression.
RESERVED_NAMES = frozenset({"inputs", "steps", "values", "previous", "round", "output", "loop"})

#: What says that a key holds a secret, wherever it stands.
SECRET_KEYS = frozenset(
    {"api_key", "apikey", "key", "token", "secret", "password", "access_token", "auth_token", "authorization", "bearer"}
)
SECRET_HINT = "keys are never written down: name the environment variable, `api_key_env: OPENAI_API_KEY`"  # noqa: S105 - it holds none

__all__ = ["RESERVED_NAMES", "RESERVED_PARAMS", "SECRET_HINT", "SECRET_KEYS", "TABLES", "Key", "Shape", "StepKind", "Table"]
