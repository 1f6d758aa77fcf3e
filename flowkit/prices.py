"""Say what a call costs: from where a model is served to its tariff, and from the tokens that the server counted to US dollars.

A cost is never invented. What nobody said is None, which is not 0: a model without a price, tokens that the server did not count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flowkit.chat import Usage
from flowkit.config import Price, Resolved

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

_MILLION = 1_000_000
#: What a server does with a call that asks for nothing special.
_USUAL_TIERS = (None, "auto", "default", "standard")
#: Units of the library that every call is billed by and that no `Tariff` can say. A model with one of them has no price here.
_ODD_UNITS = re.compile(r"requests_|output_reasoning_|output_citation_|_mchars$|_text_messages_")


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices of one model. From some sizes of the prompt on, the whole call may cost another price: `beyond`.

    `beyond` holds (tokens of input, price) in ascending order; a price holds for prompts of more tokens than stand beside it.
    """

    base: Price
    beyond: tuple[tuple[int, Price], ...] = ()

    def price(self, input_tokens: int) -> Price:
        """Return the price of a call with a prompt of that size."""
        found = self.base
        for size, price in self.beyond:
            if input_tokens > size:
                found = price
        return found

    def bound(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return the most that a call of at most so many tokens can cost, whatever the server has in its cache."""
        prices = [self.base, *(price for size, price in self.beyond if input_tokens > size)]
        return max(input_tokens * max(each.input, each.cached or each.input) + output_tokens * each.output for each in prices) / _MILLION

    @property
    def free(self) -> bool:
        """Whether every call costs nothing, which someone must have said."""
        return all(not (each.input or each.output or each.cached) for each in (self.base, *(price for _, price in self.beyond)))


def cost(tariff: Tariff | None, usage: Usage | None) -> Decimal | None:
    """Return what one request cost, in US dollars; None when there is no price or the server did not count its tokens.

    `cached_tokens` are a part of `input_tokens`, `reasoning_tokens` of `output_tokens`. Add up costs, not usages: a usage of several
    requests no longer tells how large each prompt was, so that it has no cost where the price depends on that.
    """
    if tariff is None:
        return None
    if tariff.free:
        return Decimal(0)
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    price = tariff.price(usage.input_tokens)
    if usage.calls > 1 and price is not tariff.base:
        return None
    cached = min(usage.cached_tokens or 0, usage.input_tokens)
    cached_price = price.input if price.cached is None else price.cached
    return ((usage.input_tokens - cached) * price.input + cached * cached_price + usage.output_tokens * price.output) / _MILLION


def price_of(resolved: Resolved, *, at: datetime, params: Mapping[str, Any] | None = None) -> Tariff | None:
    """Return what a call to this model costs when it is sent at that time (aware of its zone); None when nobody said it.

    The `price:` of the flow or the configuration counts. Else the library genai-prices is asked, if it is installed (the extra
    `prices`), and only for servers that are the provider's own, told by the host of `base_url`: a model of the same name behind
    a gateway or on this machine is somebody else's to price. A deployment at Azure is named by whoever made it, so its name says
    nothing. `params` are those of the call (default: those of the model): another `service_tier` has another price.
    """
    if resolved.price is not None:
        return Tariff(resolved.price)
    url = urlsplit(resolved.endpoint.base_url)
    if url.scheme != "https" or url.port not in (None, 443) or not url.hostname or resolved.endpoint.api_style == "azure":
        return None
    listed = _listed(url.hostname.lower(), resolved.endpoint.model)
    return None if listed is None else _tariff(listed, at, _tier(resolved.params if params is None else params))


def _tier(params: Mapping[str, Any]) -> Any:
    extra = params.get("extra_body")
    return extra["service_tier"] if isinstance(extra, Mapping) and "service_tier" in extra else params.get("service_tier")


@lru_cache(maxsize=256)
def _listed(host: str, model: str) -> ModelInfo | None:
    """Find a model in the library's own data, which came with its package: it fetches newer ones only when told to, which we never do."""
    try:
        import genai_prices  # an extra, and 0.2 s
    except ImportError:
        return None
    url = f"https://{host}"
    try:
        found = genai_prices.calc_price(genai_prices.Usage(), model, provider_api_url=f"{url}/")
    except LookupError:
        return None
    # The library looks at the beginning alone: `api.openai.com.example.org` would be OpenAI's.
    match = re.match(found.provider.api_pattern, f"{url}/")
    if found.provider.id == "azure" or match is None or match.end() < len(url):
        return None
    return found.model


def _tariff(listed: ModelInfo, at: datetime, tier: Any) -> Tariff | None:
    """Read the prices that hold at a time and for a service tier; None where a Tariff cannot say them."""
    context = None
    if tier not in _USUAL_TIERS:
        context = {"service_tier": str(tier)}
        if not any(variant.when == context for variant in listed.price_variants or ()):
            return None
    prices = listed.get_prices(at, context)
    stated = {name: value for name, value in vars(prices).items() if value is not None}
    if any(_ODD_UNITS.search(name) for name in stated) or not {"input_mtok", "output_mtok"} <= stated.keys():
        return None
    sizes = sorted({tier.start for value in stated.values() if not isinstance(value, Decimal) for tier in value.tiers})
    return Tariff(_price(prices, 0), tuple((size, _price(prices, size + 1)) for size in sizes))


def _price(prices: ModelPrice, input_tokens: int) -> Price:
    """The prices of one size of prompt."""

    def of(name: str) -> Decimal | None:
        value: Decimal | TieredPrices | None = getattr(prices, name)
        if value is None or isinstance(value, Decimal):
            return value
        return next((tier.price for tier in reversed(value.tiers) if input_tokens > tier.start), value.base)

    asked, answered = of("input_mtok"), of("output_mtok")
    assert asked is not None
    assert answered is not None
    return Price(asked, answered, of("cache_read_mtok"))
