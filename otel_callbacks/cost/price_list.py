"""The price list: the prices that providers publish, from the genai-prices package (the extra `cost`).

We use only its data: which provider, which model, which rates on which day. We compute costs ourselves, because that
tells a missing rate from a free one and takes a tenth of the time. We read the prices bundled with the package and
ignore snapshots that other code loads into it, so the same package version always gives the same cost.
"""

import ipaddress
import logging
import re
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from otel_callbacks.cost.day_prices import DayPrices, prices_on_day
from otel_callbacks.cost.price_entry import PriceQuery
from otel_callbacks.cost.rates import UnpricedReason
from otel_callbacks.runtime import fork

if TYPE_CHECKING:
    from genai_prices.types import Provider

logger = logging.getLogger("otel_callbacks")

_PROVIDER_IDS = {
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
"""Provider names → their ids in genai-prices, where the two differ. A provider in neither has no list price
(ibm.watsonx.ai). We do not use the matching of genai-prices, which accepts every name that contains "openai"."""

_HOSTS = (
    (re.compile(r"api\.cloudflare\.com"), "cloudflare"),
    (re.compile(r"api\.moonshot\.ai"), "moonshotai"),  # not .cn, which charges in yuan
    (re.compile(r"api\.together\.(ai|xyz)"), "together"),
    (re.compile(r".+\.(cloud\.databricks\.com|azuredatabricks\.net|gcp\.databricks\.com)"), "databricks"),
    (re.compile(r"(.+\.)?bedrock-runtime(-fips)?\.[a-z0-9-]+\.(vpce\.)?amazonaws\.com"), "aws"),
)
"""Hosts that the patterns of genai-prices miss, because they require a path and a server's address has none."""

_PRIVATE_SUFFIXES = (".local", ".localhost", ".internal", ".lan", ".home.arpa", ".test")

_DATE_SUFFIX = re.compile(r"[-@:](20\d\d-\d\d-\d\d|20\d{6}|\d{3,4})(-v\d(:\d)?)?", re.ASCII)


class NotLoaded(Exception):
    """The price list is still being imported."""


@dataclass(frozen=True, slots=True)
class _Data:
    """The data of genai-prices."""

    providers: list["Provider"]
    hosts: list[tuple[re.Pattern[str], "Provider"]]
    version: str


def _load_genai_prices() -> _Data:
    # takes 0.03 to 0.8 s, so never when our modules are imported, in a callback or on an event loop
    import genai_prices
    from genai_prices.data import providers

    # compiling the 47 patterns takes 3 ms, which an event loop need not wait for
    hosts = [(re.compile(provider.api_pattern), provider) for provider in providers]
    return _Data(providers, hosts, f"genai-prices {genai_prices.__version__}")


def _import_http_client() -> None:
    """Imports the HTTP client that genai-prices needs, if openai is installed too.

    openai looks it up in `sys.modules` on every response, and breaks if another thread has only half imported it. So
    this happens once, before the application's calls: when our handler is imported after openai, else when the first
    one is made.
    """
    if all(map(find_spec, ("genai_prices", "httpx2", "openai"))):
        import_module("httpx2")


_import_http_client()


class PriceList:
    """The list prices, from genai-prices. `otel_callbacks.prices` is the one that all handlers share.

    Making a handler imports them: at once, or in a thread of its own if an event loop runs here, which must not stall.
    No callback ever waits. A call that ends before the import is `unpriced` with the reason `prices_loading`; an
    application that makes its handler on a loop awaits the prices first::

        from otel_callbacks import prices

        await asyncio.to_thread(prices.ready)

    Args:
        load: imports the data; tests replace it.
    """

    def __init__(self, load: Callable[[], Any] = _load_genai_prices) -> None:
        self._load = load
        self._data: _Data | None = None
        self._import_ended = False
        self._thread: threading.Thread | None = None
        self._lock = fork.safe_lock()

    def ready(self, timeout: float | None = None) -> bool:
        """Waits until the prices are imported, at most `timeout` seconds; tells whether they are available.

        They are not if genai-prices is not installed (the extra `cost`).
        """
        thread = self._import_in_thread()
        if thread is not None:
            thread.join(timeout)
        return self._data is not None

    @property
    def version(self) -> str | None:
        """The version of the prices, such as "genai-prices 0.2.3"; None if they are not imported."""
        return None if self._data is None else self._data.version

    def start_import(self) -> None:
        """Imports the prices: in this thread, unless an event loop runs in it."""
        thread = self._import_in_thread()
        if thread is not None and not _on_event_loop():
            thread.join()

    def _import_in_thread(self) -> threading.Thread | None:
        """Starts the import in a daemon thread, once; returns the thread, or None if the import has ended."""
        if self._import_ended:
            return None
        with self._lock:
            # a thread that died without a result was lost in a fork, so the child process starts its own
            if not self._import_ended and (self._thread is None or not self._thread.is_alive()):
                thread = threading.Thread(target=self._run, name="otel_callbacks-prices", daemon=True)
                with suppress(RuntimeError):  # the process is about to exit
                    thread.start()
                    self._thread = thread
            return self._thread

    def _run(self) -> None:
        try:
            self._data = self._load()
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "genai_prices":
                logger.warning("genai-prices cannot be imported, calls have no list price: %s", error)
        except Exception as error:  # an unknown version of genai-prices must not break the application
            logger.warning("genai-prices cannot be used, calls have no list price: %s", error, exc_info=True)
        finally:
            self._import_ended = True

    def find(self, query: PriceQuery, names: Sequence[str]) -> DayPrices | UnpricedReason:
        """Returns the list prices for a call, or the reason why there are none.

        Args:
            query: the call.
            names: the possible names of its model; the first one in the list counts.

        Raises:
            NotLoaded: the import has not ended.
        """
        if not self._import_ended:
            self._import_in_thread()  # in a forked process, or without a handler
            raise NotLoaded
        data = self._data
        if data is None:
            return "no_price_source"
        provider, names = _billing_provider(data, query, names)
        if isinstance(provider, str):
            return provider
        for name in names:
            identifier = _model_id(name)
            model = provider.find_model(identifier, all_providers=data.providers) if identifier else None
            if model is not None:
                return prices_on_day(model, provider, query, data.version)
        return "unknown_model"


prices = PriceList()
"""The price list that all handlers of the process share, so that it is imported once."""


def _on_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")  # without it no event loop runs
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def is_private_host(host: str | None) -> bool:
    """Tells whether a host is in a private network, where nobody bills calls by the token."""
    if not host:
        return False
    host = host.strip("[]").rstrip(".")
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_SUFFIXES)
    return not address.is_global


def is_same_model(response: str, request: str) -> bool:
    """Tells whether both names are one model; the response may add a date (`gpt-4o-2024-08-06`, `-2411`, `-001`)."""
    if not response.startswith(request):
        return False
    rest = response[len(request) :]
    return not rest or _DATE_SUFFIX.fullmatch(rest) is not None


def _billing_provider(
    data: _Data, query: PriceQuery, names: Sequence[str]
) -> tuple["Provider | UnpricedReason", Sequence[str]]:
    """Returns the provider who bills the call (or why it is unknown), and the model names without a router's prefix.

    A known host decides: an OpenAI client that is pointed at OpenRouter pays OpenRouter.
    """
    name = query.provider or ""
    if (
        name == "litellm" and not query.host
    ):  # a library whose model names start with the provider: openai/gpt-4o
        prefixes = {model.partition("/")[0] for model in names if "/" in model}
        if len(prefixes) == 1:
            name = prefixes.pop()
            names = [model.removeprefix(f"{name}/") for model in names]
    if query.host:
        known = _provider_at(data, query.host)
        if known is not None:
            return known, names
    identifier = _PROVIDER_IDS.get(name, name)
    for provider in data.providers:
        if provider.id == identifier:
            # another server that uses the provider's name: vLLM, Ollama, a company's gateway
            return ("local_endpoint" if query.host else provider), names
    return "unknown_provider", names


def _provider_at(data: _Data, host: str) -> "Provider | None":
    for pattern, identifier in _HOSTS:
        if pattern.fullmatch(host):
            return next((provider for provider in data.providers if provider.id == identifier), None)
    url = f"https://{host}"
    for pattern, provider in data.hosts:
        match = pattern.match(url + "/")
        # the patterns have no end, so `https://api\.openai\.com` also matches api.openai.com.example.org
        if match is not None and match.end() >= len(url):
            return provider
    return None


def _model_id(name: str) -> str | None:
    """Returns the model id in a name; None for a private copy of a model, which has a price of its own."""
    if name.startswith("arn:"):
        resource, _, model = name.split(":", 5)[-1].partition("/")
        return model if resource in ("foundation-model", "inference-profile") and model else None
    if name.startswith(("publishers/", "projects/")):
        owner, _, model = name.rpartition("/models/")
        return model if "publishers/" in owner and model else None
    return None if name.startswith("tunedmodels/") else name
