"""What makes a call the same call: keys outlive the version that wrote them, so each of these is written out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from flowkit.chat import ChatRequest, Message, Shape
from flowkit.endpoints import Endpoint, Secret
from flowkit.identity import again, question

HOST = "http://127.0.0.1:8000/v1"
PLAIN = Endpoint("m", HOST, "llama")
KEYED = Endpoint(
    "m", f"{HOST}?api-key=abcdefghijkl1234", "llama", api_key=Secret("sk-abcdefghijklmnop"), max_tokens_key="max_completion_tokens"
)
ASKED = (Message("system", "Be brief."), Message("user", "Why?"))
SHAPE = Shape("Answer", {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}})


def _asked(endpoint: Endpoint = PLAIN, params: Mapping[str, Any] | None = None, shape: Shape | None = None, **more: Any) -> ChatRequest:
    return ChatRequest(endpoint.model, more.pop("messages", ASKED), params or {}, shape, **more)


CASES: dict[str, tuple[Endpoint, ChatRequest, bool]] = {
    "a plain question": (PLAIN, _asked(), False),
    "simulated": (PLAIN, _asked(), True),
    "parameters in no order": (
        PLAIN,
        _asked(params={"top_p": 0.5, "max_tokens": 5, "extra_body": {"z": {"b": 1, "a": [1e16, -0.0]}}}),
        False,
    ),
    "integers beyond 64 bits": (PLAIN, _asked(params={"seed": 2**70, "top_p": 1e16}), False),
    "nineteen digits that are text": (
        PLAIN,
        _asked(messages=(Message("user", "no. 1234567890123456789, é"),), params={"top_p": 1e16}),
        False,
    ),
    "a secret in a message and in the address": (
        KEYED,
        _asked(KEYED, {"max_tokens": 5}, messages=(Message("user", "sk-abcdefghijklmnop"),)),
        False,
    ),
    "a type": (PLAIN, _asked(shape=SHAPE), False),
}

#: As the first version of the record wrote them.
KEYS = {
    "a plain question": "744a01f17f7aa0cf49c7d5d6a2715d50f053ad3c",
    "simulated": "baaed9fcba18af91f8a71feb3fcc57cbb0ee76a7",
    "parameters in no order": "4f0e7e633bfbd8471d38ffcaea9109ecc9e6556c",
    "integers beyond 64 bits": "ff704ab8890aa80ca04a1b4bca7703690eedeb49",
    "nineteen digits that are text": "e537362db8fd7ab72897327c32f3bc46053600ac",
    "a secret in a message and in the address": "1e7ccd9b1a4726efeacf0297dda4b67b3ab40001",
    "a type": "13cfe8e8e2ff70540d46f10bcb4ae10ccb8053ae",
}


@pytest.mark.parametrize("case", CASES)
def test_a_key_is_the_same_in_each_version(case):
    endpoint, request, simulated = CASES[case]
    assert question(endpoint, request, simulated=simulated).key == KEYS[case]


@pytest.mark.parametrize(("one", "other"), [(0.0, 0), (1.0, 1), ([2.0], [2]), ({"a": 5.0}, {"a": 5})])
def test_a_number_without_a_fraction_is_an_integer(one, other):
    asked = question(PLAIN, _asked(params={"temperature": one, "extra_body": {"n": one}}))
    assert asked == question(PLAIN, _asked(params={"temperature": other, "extra_body": {"n": other}}))
    assert question(PLAIN, _asked(params={"temperature": 0.5})).key != question(PLAIN, _asked(params={"temperature": 0})).key


def test_a_stream_asks_the_same_and_the_next_one_of_a_run_does_not():
    first = question(PLAIN, _asked())
    assert question(PLAIN, _asked(stream=True)) == first
    assert again(first, 1) == question(PLAIN, _asked(), 1)
    assert again(first, 1).key != first.key
    assert again(again(first, 1), 0) == first


def test_neither_the_address_nor_the_body_of_a_question_shows_a_secret():
    endpoint, request, _ = CASES["a secret in a message and in the address"]
    asked = question(endpoint, request)
    assert "abcdefghijkl" not in asked.url + asked.body
