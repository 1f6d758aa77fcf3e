"""Models, parameters and defaults of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from parsing import read, right, said, step, top

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        ("temperature: cold", ["5:27 wrong-type"]),
        ("temperature: 3", ["5:27 out-of-range"]),
        ("temperature: .inf", ["5:27 out-of-range"]),
        ('temperature: "{{ inputs.t }}"', ["5:27 wrong-type"]),
        ("temperature: true", ["5:27 wrong-type"]),
        ("max_tokens: 0", ["5:26 out-of-range"]),
        ("max_tokens: 1.5", ["5:26 out-of-range"]),
        ('max_tokens: "5"', ["5:26 wrong-type"]),
        ("seed: 99999999999999999999", ["5:20 out-of-range"]),
        ("stop: []", ["5:20 out-of-range"]),
        ("stop: [a, b, c, d, e]", ["5:20 out-of-range"]),
        ('stop: ["\\n\\n"]', []),
        ("stop: x", []),
        ("logprobs: yes", ["5:24 wrong-type"]),
        ("temprature: 1", ["5:14 unknown-param"]),
        ("top_k: 4", ["5:14 unknown-param"]),
        ("n: 3", ["5:14 reserved-param"]),
        ("response_format: {}", ["5:14 reserved-param"]),
        ("extra_body: {stream: true}", ["5:27 reserved-param"]),
        ("seed: 1, extra_body: {seed: 2}", ["5:36 duplicate-param"]),
        ("extra_body: 5", ["5:26 wrong-type"]),
        ("temperature: null", []),
        ("temperature: ", ["5:27 empty-value"]),
        ("x-why: cold", []),
    ],
)
def test_parameters(param: str, expected: list[str], tmp_path: Path) -> None:
    """A known parameter has its type and range; others stand under `extra_body`."""
    assert said(read(step(f"prompt: x\nparams: {{{param}}}"), tmp_path)[1]) == expected


def test_unknown_parameters_lead_to_extra_body(tmp_path: Path) -> None:
    """Where nothing near is known, the hint shows where a server's own parameter goes."""
    _, problems = read(step("prompt: x\nparams: {top_k: 4, temprature: 1}"), tmp_path)
    assert "extra_body: {top_k: …}" in str(problems[0].hint)
    assert "'temperature'" in str(problems[1].hint)


def test_parameters_are_kept(tmp_path: Path) -> None:
    """Values are data; null is kept, since it takes a default away; every key has its place."""
    found = right(step("prompt: x\nparams: {temperature: null, seed: 7, extra_body: {top_k: 4}}"), tmp_path).steps["a"]
    assert found.params == {"temperature": None, "seed": 7, "extra_body": {"top_k": 4}}
    assert {name: key.column for name, key in found.param_keys.items()} == {"temperature": 14, "seed": 33, "top_k": 55, "extra_body": 42}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("5", ["5:12 wrong-type"]),
        ("[]", ["5:12 out-of-range"]),
        ("[a, 5]", ["5:16 wrong-type"]),
        ('"{{ inputs.m }}"', ["5:12 invalid-model"]),
        ("a b", ["5:12 invalid-model"]),
        ("[a, b/c]", []),
    ],
)
def test_models_of_a_step(model: str, expected: list[str], tmp_path: Path) -> None:
    """A model is a name or a list of names, the same in every run."""
    assert said(read(step(f"prompt: x\nmodel: {model}"), tmp_path)[1]) == expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("m: 5", ["2:13 wrong-type"]),
        ("a/b: x/y", ["2:10 invalid-name"]),
        ("m: {base_url: 'http://h/v1'}", ["2:13 missing-key"]),
        ("m: {model: x, base_url: localhost}", ["2:34 invalid-url"]),
        ("m: {model: x, url: 'http://h/v1'}", ["2:24 unknown-key"]),
        ("m: {model: x, structured: json}", ["2:36 unknown-word"]),
        ("m: {model: x, rate_limit: {rpm: 5}}", ["2:37 unknown-key"]),
        ("m: {model: x, price: {input: 1}}", ["2:31 missing-key"]),
        ("m: {model: x, params: {temperature: hot}}", ["2:46 wrong-type"]),
        ("m: {model: x, headers: {a: 5}}", ["2:37 wrong-type"]),
        ("m: {model: x, headers: {X-Api-Key: abc}}", ["2:34 inline-secret"]),
        ("m: {model: x, headers: {X-Api-Key: {env: KEY}}}", []),
    ],
)
def test_wrong_aliases(model: str, expected: list[str], tmp_path: Path) -> None:
    """Each mistake in an alias is one problem where it stands."""
    assert said(read(top(f"models: {{{model}}}"), tmp_path)[1]) == expected


def test_aliases(tmp_path: Path) -> None:
    """An alias is a name, or a name with settings."""
    found = right(
        top(
            "models:\n  fast: openai/x\n"
            "  own: {model: y, base_url: 'http://h/v1/', api_key_env: KEY, max_parallel: 2, price: {input: 1, output: 2}, headers: {a: b}}"
        ),
        tmp_path,
    ).models
    assert (found["fast"].model, found["fast"].settings) == ("openai/x", {})
    assert found["own"].settings == {
        "base_url": "http://h/v1",
        "api_key_env": "KEY",
        "max_parallel": 2,
        "price": {"input": 1, "output": 2},
        "headers": {"a": "b"},
    }


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [
        ("fast", ["2:11 wrong-type"]),
        ("{temperature: 1}", ["2:12 unknown-key"]),
        ("{parms: {}}", ["2:12 unknown-key"]),
        ("{max_parallel: 0}", ["2:26 out-of-range"]),
        ("{timeout: fast}", ["2:21 wrong-duration"]),
    ],
)
def test_wrong_defaults(defaults: str, expected: list[str], tmp_path: Path) -> None:
    """Each mistake under `defaults` is one problem where it stands."""
    assert said(read(top(f"defaults: {defaults}"), tmp_path)[1]) == expected


def test_defaults_and_limits(tmp_path: Path) -> None:
    """Defaults and limits are read whole."""
    spec = right(
        top(
            "defaults: {model: [a, b], params: {seed: 1}, timeout: 5s, retry: 2, cache: 1d, max_parallel: 3}\n"
            "limits: {calls: 1, tokens: 2, cost: 0.5, seconds: 4}"
        ),
        tmp_path,
    )
    defaults, limits = spec.defaults, spec.limits
    assert [m.text for m in defaults.model] == ["a", "b"]
    assert (defaults.params, defaults.cache, defaults.max_parallel) == ({"seed": 1}, 86400, 3)
    assert defaults.timeout is not None
    assert defaults.timeout.attempt == 5
    assert (limits.calls, limits.tokens, limits.cost, limits.seconds) == (1, 2, 0.5, 4)
