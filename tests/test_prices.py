"""What a call costs: from configuration, from the library's own data, and what stays unknown."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.chat import Usage
from flowkit.config import Config, Price, Resolved
from flowkit.config.settings import Settings
from flowkit.endpoints import Endpoint
from flowkit.money import Cost, money
from flowkit.prices import Tariff, cost, price_of

genai_prices = pytest.importorskip("genai_prices", reason="the extra `prices` is not installed")

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINI = Tariff(Price(Decimal("0.4"), Decimal("1.6"), Decimal("0.1")))
#: Dearer, as a whole, for prompts of more than 100 tokens, and again of more than 1,000.
STEPPED = Tariff(Price(Decimal(1), Decimal(2)), ((100, Price(Decimal(2), Decimal(3))), (1000, Price(Decimal(4), Decimal(5)))))


def served(base_url: str, model: str, **settings: object) -> Resolved:
    return Resolved(Endpoint(f"x/{model}", base_url, model, **settings), {}, (model,))


def listed(model: str, *, at: datetime = NOON, env: dict[str, str] | None = None, **config: object) -> Tariff | None:
    return price_of(Config(env=env or {}, **config).resolve(model, {}, {}), at=at)


# -- a tariff ----------------------------------------------------------------------------------------------------


def test_tokens_cost_their_price_for_a_million() -> None:
    assert cost(MINI, Usage(1_000_000, 0, calls=1)) == Decimal("0.4")
    assert cost(MINI, Usage(0, 1_000_000, calls=1)) == Decimal("1.6")
    assert cost(MINI, Usage(123, 45, calls=1)) == Decimal("0.0001212")


def test_cached_tokens_are_a_part_of_the_input_and_reasoning_of_the_output() -> None:
    assert cost(MINI, Usage(1000, 100, cached_tokens=400, reasoning_tokens=60, calls=1)) == Decimal("0.00044")


def test_without_a_price_of_its_own_a_cached_token_costs_what_input_costs() -> None:
    assert cost(Tariff(Price(Decimal(1), Decimal(1))), Usage(10, 0, cached_tokens=10)) == Decimal("0.00001")


def test_no_more_tokens_are_cached_than_there_are() -> None:
    assert cost(MINI, Usage(10, 0, cached_tokens=99)) == Decimal("0.000001")


@pytest.mark.parametrize("usage", [None, Usage(calls=1), Usage(input_tokens=5, calls=1), Usage(output_tokens=5, calls=1)])
def test_what_the_server_did_not_count_has_no_cost(usage: Usage | None) -> None:
    """Unknown is None, never 0; only where every token is free is the number of them of no matter."""
    assert cost(MINI, usage) is None
    assert cost(Tariff(Price(Decimal(0), Decimal(0))), usage) == 0


def test_without_a_price_there_is_no_cost() -> None:
    assert cost(None, Usage(10, 10, calls=1)) is None


@pytest.mark.parametrize(("size", "expected"), [(100, 1), (101, 2), (1000, 2), (1001, 4)])
def test_a_large_prompt_makes_the_whole_call_dearer(size: int, expected: int) -> None:
    assert STEPPED.price(size).input == expected
    assert cost(STEPPED, Usage(size, 0, calls=1)) == Decimal(size * expected) / 1_000_000


def test_a_sum_of_prompts_has_no_size() -> None:
    """Two prompts of 60 tokens are not one of 120, so their sum has no cost where the size counts."""
    both = Usage(60, 0, calls=1) + Usage(60, 0, calls=1)
    assert cost(STEPPED, both) is None
    assert cost(MINI, both) == Decimal("0.000048")


amounts = st.decimals(0, 100, places=4)
prices = st.builds(Price, amounts, amounts, st.none() | amounts)
tariffs = st.builds(
    lambda base, steps: Tariff(base, tuple(sorted(steps.items()))), prices, st.dictionaries(st.integers(1, 5000), prices, max_size=3)
)


@given(tariffs, st.integers(0, 9000), st.integers(0, 9000), st.data())
def test_no_call_within_its_bound_costs_more_than_the_bound(tariff: Tariff, most_in: int, most_out: int, data: st.DataObject) -> None:
    """Whatever is cached, and also where a smaller prompt is dearer."""
    used = Usage(data.draw(st.integers(0, most_in)), data.draw(st.integers(0, most_out)), data.draw(st.integers(0, most_in)), calls=1)
    found = cost(tariff, used)
    assert found is not None
    assert 0 <= found <= tariff.bound(most_in, most_out)


# -- where prices come from --------------------------------------------------------------------------------------


def test_what_the_configuration_says_counts() -> None:
    own = Price(Decimal(7), Decimal(8))
    assert listed("openai/gpt-4.1-mini", providers={"openai": Settings(price=own)}) == Tariff(own)
    assert listed("mine", aliases={"mine": Settings(model="ollama/qwen3:8b", price=own)}) == Tariff(own)


def test_a_known_model_at_its_own_server_has_the_price_of_the_library() -> None:
    assert listed("openai/gpt-4.1-mini") == MINI


@pytest.mark.parametrize(
    "model", ["deepseek/deepseek-chat", "mistral/mistral-small-latest", "groq/llama-3.3-70b-versatile", "gemini/gemini-2.5-flash"]
)
def test_ready_providers_are_told_by_their_address(model: str) -> None:
    assert listed(model) is not None


@pytest.mark.parametrize(
    "model",
    ["openai/gpt-99", "openai/ft:gpt-4.1-mini:acme::1", "ollama/qwen3:8b", "llamacpp/gpt-4.1-mini", "openrouter/openrouter/auto"],
)
def test_an_unknown_or_local_model_has_no_price(model: str) -> None:
    assert listed(model) is None


@pytest.mark.parametrize(
    "base_url",
    [
        "https://gateway.example.org/v1",
        "https://gateway.example.org/api.openai.com/v1",
        "https://api.openai.com.example.org/v1",
        "https://example.org/x.googleapis.com",
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "http://localhost:4000/v1",
    ],
)
def test_a_name_behind_another_address_says_nothing(base_url: str) -> None:
    """A gateway that calls its model gpt-4.1-mini does not charge what OpenAI does."""
    assert price_of(served(base_url, "gpt-4.1-mini"), at=NOON) is None
    assert price_of(served(base_url, "gemini-2.5-flash"), at=NOON) is None


def test_the_environments_address_takes_the_price_away() -> None:
    assert listed("openai/gpt-4.1-mini", env={"OPENAI_BASE_URL": "https://proxy.example.org/v1"}) is None


def test_a_deployment_at_azure_has_no_price_by_its_name() -> None:
    env = {"AZURE_OPENAI_ENDPOINT": "https://acme.openai.azure.com", "AZURE_OPENAI_API_KEY": "k"}
    assert listed("azure/gpt-4.1-mini", env=env) is None
    assert price_of(served("https://acme.openai.azure.com/openai/v1", "gpt-4.1-mini"), at=NOON) is None


def test_the_tier_of_the_call_counts() -> None:
    """Half the price at `flex`; a tier that nobody priced is unknown; what stands under `extra_body` is sent, so it counts."""
    mini = served("https://api.openai.com/v1", "gpt-4.1-mini")
    usual = price_of(mini, at=NOON)
    assert usual == MINI
    assert [price_of(mini, at=NOON, params={"service_tier": tier}) for tier in ("auto", "default")] == [usual, usual]
    fast = price_of(mini, at=NOON, params={"service_tier": "priority"})
    assert fast is not None
    assert fast.base.input > MINI.base.input
    assert price_of(mini, at=NOON, params={"extra_body": {"service_tier": "priority"}}) == fast
    assert price_of(mini, at=NOON, params={"service_tier": "gold"}) is None


def test_the_hour_counts_where_the_server_says_so() -> None:
    night, day = (listed("deepseek/deepseek-chat", at=datetime(2026, 11, 20, hour, tzinfo=UTC)) for hour in (20, 12))
    assert night is not None
    assert day is not None
    assert night.base.output < day.base.output


def snapshot() -> list:
    from genai_prices.data import providers

    return providers


def test_the_library_and_our_tariffs_agree_on_every_model_that_we_price() -> None:
    """Whatever the library says for a call of plain text, at each side of each step, a tariff says too."""
    hosts = {"openai": "api.openai.com", "deepseek": "api.deepseek.com", "anthropic": "api.anthropic.com", "x-ai": "api.x.ai"}
    compared, stepped = 0, 0
    for provider in snapshot():
        if provider.id not in hosts:
            continue
        for model in provider.models:
            tariff = price_of(served(f"https://{hosts[provider.id]}/v1", model.id), at=NOON)
            if tariff is None:
                continue
            stepped += bool(tariff.beyond)
            for size in {1000, *(size + more for size, _ in tariff.beyond for more in (0, 1))}:
                usage = genai_prices.Usage(input_tokens=size, output_tokens=77, cache_read_tokens=300)
                theirs = genai_prices.calc_price(usage, model.id, provider_id=provider.id, genai_request_timestamp=NOON)
                assert cost(tariff, Usage(size, 77, cached_tokens=300, calls=1)) == theirs.total_price, model.id
                compared += 1
    assert compared > 100
    assert stepped > 10


def test_a_model_that_is_billed_otherwise_is_unknown() -> None:
    """By the request or by characters: a tariff of tokens would be too low."""
    assert price_of(served("https://api.perplexity.ai", "sonar-pro"), at=NOON) is None
    assert price_of(served("https://api.openai.com/v1", "tts-1"), at=NOON) is None


def test_the_library_stays_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    before = threading.active_count()
    assert listed("openai/gpt-4.1") is not None
    assert threading.active_count() == before


@pytest.mark.parametrize(
    "code",
    [
        "assert price_of(mini, at=now) is None",
        "assert price_of(replace(mini, price=Price(Decimal(1), Decimal(2))), at=now) == Tariff(Price(Decimal(1), Decimal(2)))",
    ],
)
def test_without_the_library_only_the_configuration_knows(code: str) -> None:
    program = f"""
import sys
sys.modules["genai_prices"] = None
from dataclasses import replace
from datetime import datetime, UTC
from decimal import Decimal
from flowkit.config import Config, Price
from flowkit.prices import Tariff, price_of
mini, now = Config().resolve("openai/gpt-4.1-mini", {{}}, {{}}), datetime.now(UTC)
{code}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_library_is_imported_when_a_price_is_asked_for() -> None:
    program = "import sys, flowkit.prices; assert 'genai_prices' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


# -- amounts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (None, "unknown"),
        ("0", "$0.00"),
        ("0E-9", "$0.00"),
        ("0.00001", "< $0.0001"),
        ("0.0001", "$0.0001"),
        ("0.01234", "$0.0123"),
        ("0.12", "$0.12"),
        ("0.5", "$0.50"),
        ("0.125", "$0.125"),
        ("0.99999", "$1.00"),
        ("1.234", "$1.23"),
        ("1234.5", "$1,234.50"),
        ("1E+3", "$1,000.00"),
    ],
)
def test_amounts_in_words(amount: str | None, words: str) -> None:
    assert money(None if amount is None else Decimal(amount)) == words


@given(st.decimals(0, 10_000, places=8))
def test_what_costs_something_is_never_shown_as_nothing(amount: Decimal) -> None:
    assert (money(amount) == "$0.00") == (amount == 0)


def test_a_sum_says_what_it_lacks() -> None:
    known, unknown = Cost.of(Decimal("0.06")), Cost.of(None)
    assert str(known + known) == "$0.12"
    assert str(Cost()) == "$0.00"
    assert str(unknown + unknown) == "unknown"
    assert str(known + unknown) == "at least $0.06 (1 call of unknown cost)"
    assert str(sum([known, unknown, known, unknown], Cost())) == "at least $0.12 (2 calls of unknown cost)"
    assert str(Cost.of(Decimal("0.000001")) + unknown) == "unknown in part (1 call of unknown cost)"


def test_a_sum_with_an_unknown_part_has_no_total() -> None:
    assert (Cost.of(Decimal(1)) + Cost.of(Decimal(2))).total == 3
    assert (Cost.of(Decimal(1)) + Cost.of(None)).total is None
