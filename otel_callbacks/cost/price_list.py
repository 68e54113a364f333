"""List prices, from the genai-prices package (the extra `cost`).

Only its data is used: which provider, which model, which rates on which day. The arithmetic is ours, because it
must tell a missing rate from a free one and costs a tenth of the time. The bundled prices count, never a snapshot
that another library put in their place: the same version of the package always gives the same cost.
"""

import ipaddress
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_callbacks.cost.price_book import Query
from otel_callbacks.cost.rates import KINDS, ZERO, Price, Reason, Tier
from otel_callbacks.runtime import fork

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

logger = logging.getLogger("otel_callbacks")

_PROVIDERS = {
    "aws.bedrock": "aws",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "x_ai": "x-ai",
    "together_ai": "together",
    "togetherai": "together",
    "fireworks_ai": "fireworks",
    "voyage": "voyageai",
    "voyage_ai": "voyageai",
    "z_ai": "zai",
}
"""Provider names whose id in genai-prices is another. Those that are the same need no line, and one that is in
neither has no list price (ibm.watsonx.ai): genai-prices' own matching takes every name with "openai" in it."""

_HOSTS = (
    (re.compile(r"api\.cloudflare\.com"), "cloudflare"),
    (re.compile(r"api\.moonshot\.ai"), "moonshotai"),  # not .cn, which bills in yuan
    (re.compile(r"api\.together\.(ai|xyz)"), "together"),
    (re.compile(r".+\.(cloud\.databricks\.com|azuredatabricks\.net|gcp\.databricks\.com)"), "databricks"),
    (re.compile(r"(.+\.)?bedrock-runtime(-fips)?\.[a-z0-9-]+\.(vpce\.)?amazonaws\.com"), "aws"),
)
"""Hosts that genai-prices' patterns miss: they want a path, which a server's address does not have."""

_LOCAL_SUFFIXES = (".local", ".localhost", ".internal", ".lan", ".home.arpa", ".test")

_SAME_PRICE = frozenset((("groq", "flex"),))
"""Tiers that are not the standard one and yet billed like it (https://console.groq.com/docs/flex-processing)."""

_RATE_KEYS = (
    ("input", "input_mtok"),
    ("output", "output_mtok"),
    ("cache_read", "cache_read_mtok"),
    ("cache_write", "cache_write_mtok"),
    ("cache_write_1h", "cache_write_1h_mtok"),
    ("reasoning", "output_reasoning_mtok"),
    ("audio_input", "input_audio_mtok"),
    ("audio_output", "output_audio_mtok"),
    ("image_input", "input_image_mtok"),
    ("image_output", "output_image_mtok"),
)

_NOTHING: dict[str, Any] = dict.fromkeys(KINDS, ZERO)
_FREE = Price(**_NOTHING)
_DATE = re.compile(r"[-@:](20\d\d-\d\d-\d\d|20\d{6}|\d{3,4})(-v\d(:\d)?)?", re.ASCII)
_MIDNIGHT = time_of_day(0)


class Listed(NamedTuple):
    """A model's prices on one day.

    Attributes:
        model: the id of the entry that matched, so that a match with a sibling can be seen.
        version: of the price data.
        prices: from when (time of day, UTC) which price holds; the first holds from midnight.
    """

    model: str
    version: str | None
    prices: tuple[tuple[time_of_day, Price], ...]


class NotLoaded(Exception):
    """The list prices are still being imported."""


@dataclass(frozen=True, slots=True)
class _Data:
    providers: list["Provider"]
    hosts: list[tuple[re.Pattern[str], "Provider"]]
    version: str


def _genai_prices() -> _Data:
    # 0.2 to 0.8 s, hence never at import and never on an event loop
    import genai_prices
    from genai_prices.data import providers

    # compiling 47 patterns takes 3 ms, better spent here than on an event loop
    hosts = [(re.compile(provider.api_pattern), provider) for provider in providers]
    return _Data(providers, hosts, f"genai-prices {genai_prices.__version__}")


def _http_client() -> None:
    """Imports the HTTP client that genai-prices imports, a tenth of a second, in the calling thread.

    openai asks `sys.modules` for it on every response, and breaks when it finds it half imported by another thread.
    """
    if find_spec("genai_prices") is not None and find_spec("httpx2") is not None:
        import_module("httpx2")


class PriceList:
    """genai-prices, imported in the background.

    A call that ends before the import does waits for it, but not for ever: all such waits together take at most
    `patience` seconds on ordinary threads and `loop_patience` on threads that run an event loop, where the import
    takes 0.2 s once a framework is loaded. Without them the first calls would have no price; with more a server
    could stall. An application that wants every call priced from the first calls `ready()` before its loop starts.

    Args:
        load: imports the data; replaced in tests.
        patience: seconds that calls may wait in all, off the event loop.
        loop_patience: seconds that calls may wait in all on an event loop.
    """

    def __init__(
        self, load: Callable[[], Any] = _genai_prices, *, patience: float = 5.0, loop_patience: float = 0.3
    ) -> None:
        self._load = load
        self._patience = patience
        self._loop_patience = loop_patience
        self._data: _Data | None = None
        self._over = False
        self._thread: threading.Thread | None = None
        self._lock = fork.lock()

    def warm(self) -> threading.Thread | None:
        """Starts the import in a daemon thread, once; returns the thread unless the import is over."""
        if self._over:
            return None
        with self._lock:
            # a thread that is gone without a result was lost in a fork: the child starts its own
            if not self._over and (self._thread is None or not self._thread.is_alive()):
                _http_client()
                self._thread = threading.Thread(target=self._run, name="otel_callbacks-prices", daemon=True)
                self._thread.start()
            return self._thread

    def ready(self, timeout: float | None = None) -> bool:
        """Waits for the import, at most `timeout` seconds; whether there are list prices."""
        thread = self.warm()
        if thread is not None:
            thread.join(timeout)
        return self._data is not None

    def _run(self) -> None:
        try:
            self._data = self._load()
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "genai_prices":
                logger.warning("genai-prices cannot be imported, calls have no list price: %s", error)
        except Exception as error:  # a version that we do not know must not break the application
            logger.warning("genai-prices cannot be used, calls have no list price: %s", error, exc_info=True)
        finally:
            self._over = True

    def wait(self) -> bool:
        """Waits for the import as long as the patience lasts; whether it is over."""
        thread = self.warm()
        if thread is None:
            return True
        on_loop = _on_event_loop()
        started = time.monotonic()
        thread.join(max(0.0, self._loop_patience if on_loop else self._patience))
        waited = time.monotonic() - started
        if on_loop:
            self._loop_patience -= waited
        else:
            self._patience -= waited
        return self._over

    def find(self, query: Query, names: Sequence[str]) -> Listed | Reason:
        """The list prices of a call.

        Args:
            query: what is known of it.
            names: what its model may be called; the first that is listed counts.

        Raises:
            NotLoaded: the import is not over.
        """
        if self.warm() is not None:
            raise NotLoaded
        data = self._data
        if data is None:
            return "no_price_source"
        provider, names = _biller(data, query, names)
        if isinstance(provider, str):
            return provider
        for name in names:
            identifier = _model_id(name)
            model = provider.find_model(identifier, all_providers=data.providers) if identifier else None
            if model is not None:
                return _listed(model, provider, query, data.version)
        return "unknown_model"


def _on_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")  # if nobody imported it, no loop runs
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def is_local(host: str | None) -> bool:
    """Whether a server's address is in a private network: nobody bills the calls to it by the token."""
    if not host:
        return False
    host = host.strip("[]").rstrip(".")
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "." not in host or host.endswith(_LOCAL_SUFFIXES)
    return not address.is_global


def same_model(response: str, request: str) -> bool:
    """Whether a response's model is the requested one with its date added (`gpt-4o-2024-08-06`, `-2411`, `-001`)."""
    if not response.startswith(request):
        return False
    rest = response[len(request) :]
    return not rest or _DATE.fullmatch(rest) is not None


def _biller(data: _Data, query: Query, names: Sequence[str]) -> tuple["Provider | Reason", Sequence[str]]:
    """Who bills the call, or why that is not known, and the names without a router's prefix.

    The host decides where it is known: a client of OpenAI that is pointed at OpenRouter pays OpenRouter.
    """
    name = query.provider or ""
    if name == "litellm" and not query.host:  # a library, which names the provider before the model
        prefixes = {model.partition("/")[0] for model in names if "/" in model}
        if len(prefixes) == 1:
            name = prefixes.pop()
            names = [model.removeprefix(f"{name}/") for model in names]
    if query.host:
        known = _at_host(data, query.host)
        if known is not None:
            return known, names
    identifier = _PROVIDERS.get(name, name)
    for provider in data.providers:
        if provider.id == identifier:
            # a server that only calls itself by the provider's name: vLLM, Ollama, a company's gateway
            return ("local_endpoint" if query.host else provider), names
    return "unknown_provider", names


def _at_host(data: _Data, host: str) -> "Provider | None":
    for pattern, identifier in _HOSTS:
        if pattern.fullmatch(host):
            return next((provider for provider in data.providers if provider.id == identifier), None)
    url = f"https://{host}"
    for pattern, provider in data.hosts:
        match = pattern.match(url + "/")
        # the patterns have no end: `https://api\.openai\.com` would take api.openai.com.example.org
        if match is not None and match.end() >= len(url):
            return provider
    return None


def _model_id(name: str) -> str | None:
    """The part of a name that says which model; None for a private copy of one, which has a price of its own."""
    if name.startswith("arn:"):
        kind, _, model = name.split(":", 5)[-1].partition("/")
        return model if kind in ("foundation-model", "inference-profile") and model else None
    if name.startswith(("publishers/", "projects/")):
        place, _, model = name.rpartition("/models/")
        return model if "publishers/" in place and model else None
    return None if name.startswith("tunedmodels/") else name


def _listed(model: "ModelInfo", provider: "Provider", query: Query, version: str) -> Listed | Reason:
    context = _context(query)
    if (query.tier or query.batch) and (provider.id, query.tier) not in _SAME_PRICE:
        # genai-prices would silently give the standard price for a tier that it does not know
        # and another provider's price (Azure's of OpenAI's models) says nothing of this one's tiers
        own = any(model is candidate for candidate in provider.models)
        variants = (model.price_variants or ()) if own else ()
        moment = datetime.combine(query.day, _MIDNIGHT, UTC)
        if not any(
            (variant.constraint is None or variant.constraint.active(moment))
            and variant.when.items() <= context.items()
            for variant in variants
        ):
            return "no_rate"
    prices: list[tuple[time_of_day, Price]] = []
    for start in _changes(model):
        moment = datetime.combine(query.day, start, UTC)
        price = _price(model.id, model.get_prices(moment, context))
        if price is None:
            return "no_rate"
        prices.append((start, price))
    return Listed(model.id, version, tuple(prices))


def _context(query: Query) -> dict[str, str]:
    context = {"service_tier": query.tier} if query.tier else {}
    if query.tier == "fast":
        context["speed"] = "fast"  # what Anthropic calls it
    if query.batch:
        context["processing"] = "batch"
    return context


def _changes(model: "ModelInfo") -> Iterable[time_of_day]:
    """The times of day (UTC) at which a model's price changes; midnight first."""
    conditions: list[Any] = list(model.price_variants or ())
    if isinstance(model.prices, list):
        conditions += model.prices
    times = {_MIDNIGHT}
    for condition in conditions:
        for edge in ("start_time", "end_time"):
            at: time_of_day | None = getattr(condition.constraint, edge, None)
            if at is not None:
                moment = datetime.combine(date(2000, 1, 1), at, at.tzinfo or UTC)
                times.add(moment.astimezone(UTC).time())
    return sorted(times)


def _price(model: str, rates: "ModelPrice") -> Price | None:
    """The rates in our terms; None if there are none.

    An entry without any rate is not free, it is unknown: 179 of them are in the data, of which only those that
    OpenRouter calls `:free` are.
    """
    stored = {key: value for key, value in vars(rates).items() if value is not None}
    if not stored:
        return _FREE if model.endswith(":free") else None
    if "embed" in model:
        stored.pop("output_mtok", None)  # vectors are no tokens, and no usage report counts them
    if "output_video_mtok" in stored:
        stored.pop("output_mtok", None)  # nobody counts which tokens were pictures
    starts = sorted({tier.start for value in stored.values() for tier in getattr(value, "tiers", ())})
    fee = stored.get("requests_kcount")
    return Price(
        **_rates_above(stored, None),
        per_request=None if fee is None else _base(fee).scaleb(-3),
        tiers=tuple(Tier(above=start, **_rates_above(stored, start)) for start in starts),
    )


def _rates_above(stored: Mapping[str, Any], start: int | None) -> dict[str, Any]:
    rates: dict[str, Any] = {}
    for kind, key in _RATE_KEYS:
        value = stored.get(key)
        if value is None:
            continue
        rates[kind] = _base(value)
        for tier in getattr(value, "tiers", ()):
            if start is not None and tier.start <= start:
                rates[kind] = tier.price
    return rates


def _base(value: Any) -> Decimal:
    rate: Decimal = value if isinstance(value, Decimal) else value.base
    return rate
