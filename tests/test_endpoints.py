"""Addresses and secrets are checked before anything is sent, and secrets do not show."""

from __future__ import annotations

import copy
import pickle

import pytest

from flowkit.endpoints import Endpoint, Secret, Veil, redact
from flowkit.errors import ConfigError

KEY = "sk-canary-0123456789"


@pytest.mark.parametrize("value", ["", " ", KEY + "\n", " " + KEY, "sk-\u201cquoted\u201d", "sk a", "sk\x00a", "schlüssel"])
def test_key_that_no_header_can_carry_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Secret(value, name="OPENAI_API_KEY")
    assert "OPENAI_API_KEY" in str(caught.value)
    assert not value.strip() or value.strip() not in str(caught.value)


def test_secret_never_shows_itself() -> None:
    secret = Secret(KEY)
    place = Endpoint("e", "https://host/v1", "m", secret)
    for text in (repr(secret), str(secret), f"{secret}", "%s" % secret, repr(place), str({"a": secret})):  # noqa: UP031
        assert KEY not in text
    assert secret.reveal() == KEY
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)


def test_secrets_are_taken_out_by_their_exact_value() -> None:
    place = Endpoint(
        "e", "https://host/v1", "m", Secret(KEY), headers={"X-Api-Key": "other-secret-value", "X-Title": "flowkit tests", "x-token": "5"}
    )
    assert redact(f"a {KEY}, other-secret-value, flowkit tests 5", place.secrets) == "a ***, ***, flowkit tests 5"


@pytest.mark.parametrize(
    ("base", "version", "url"),
    [
        ("https://api.openai.com/v1", None, "https://api.openai.com/v1/chat/completions"),
        ("https://api.openai.com/v1/", None, "https://api.openai.com/v1/chat/completions"),
        ("http://localhost:8080", None, "http://localhost:8080/chat/completions"),
        ("https://h/v1beta/openai/", None, "https://h/v1beta/openai/chat/completions"),
        ("https://h/v1/chat/completions", None, "https://h/v1/chat/completions"),
        ("https://h/openai/deployments/d", "2024-10-21", "https://h/openai/deployments/d/chat/completions?api-version=2024-10-21"),
        ("https://h/d?api-version=1", "2", "https://h/d/chat/completions?api-version=1"),
        ("https://h/d?x=1", "2", "https://h/d/chat/completions?x=1&api-version=2"),
    ],
)
def test_path_is_appended_to_the_base(base: str, version: str | None, url: str) -> None:
    assert Endpoint("e", base, "m", api_version=version).url == url


@pytest.mark.parametrize(
    "base", ["", "host/v1", "ftp://host", "https://", "file:///etc/passwd", f"https://user:{KEY}@host/v1", "https://[bad/v1", "http://h:x/"]
)
def test_what_is_no_address_is_refused(base: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Endpoint("e", base, "m")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("x y", "a"), ("", "a"), ("x", "a\r\nEvil: b"), ("x", "ü"), ("x:", "a")])
def test_header_that_cannot_be_sent_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError):
        Endpoint("e", "https://host/v1", "m", headers={name: value})


def test_equal_endpoints_are_one() -> None:
    assert len({Endpoint("e", "https://h/v1", "m", Secret(KEY)), Endpoint("e", "https://h/v1", "m", Secret(KEY))}) == 1
    assert Endpoint("e", "https://h/v1", "m", Secret(KEY)) != Endpoint("e", "https://h/v1", "m", Secret(KEY + "x"))


def test_headers_that_are_named_secret_are_so_under_any_name() -> None:
    """The longest secret goes first, so that one which holds another goes whole."""
    headers = {"X-Workspace": "workspace-123456", "X-Title": "flowkit tests", "X-Token": "workspace-123456-789"}
    place = Endpoint("e", "https://host/v1?key=query-0123456", "m", headers=headers, secret_headers=frozenset({"X-Workspace"}))
    said = redact("workspace-123456-789 workspace-123456 query-0123456 flowkit tests", place.secrets)
    assert said == "*** *** *** flowkit tests"


def test_endpoint_shows_neither_headers_nor_query() -> None:
    place = Endpoint("e", "https://host/v1?key=query-0123456", "m", headers={"api-key": KEY})
    assert repr(place) == "<Endpoint 'e' at host>"


def test_veil_holds_back_only_what_may_be_a_secret() -> None:
    veil = Veil([Secret(KEY)])
    assert veil.feed("Hello s") == "Hello "
    assert veil.feed("ir, sk-can") == "sir, "
    assert veil.feed("ary-0123") == ""
    assert veil.feed("x") == "sk-canary-0123x"
    assert veil.feed(KEY + "!") == "***!"
    assert veil.feed("sk-") == ""
    assert veil.finish() == "sk-"
