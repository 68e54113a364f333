"""The arguments that every handler takes, and the checks on them."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar, Unpack

from opentelemetry._logs import LoggerProvider
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from otel_callbacks.cost.attribution import LabelResolver, LabelSource
from otel_callbacks.cost.budget import Budget, Budgets
from otel_callbacks.cost.call_cost import OperationPricer
from otel_callbacks.cost.pricing import Pricer, Prices, as_price_book
from otel_callbacks.handlers import option_variables
from otel_callbacks.privacy.policy import ContentPolicy
from otel_callbacks.recording.cost_metrics import LabelRules, MetricLabels
from otel_callbacks.recording.recorder import DETAILS, INFERENCE_SPANS, Detail, InferenceSpans, Recorder

Choice = TypeVar("Choice")


class Options(TypedDict, total=False):
    """The arguments of a handler, all optional.

    Attributes:
        tracer_provider: where spans go; by default the global provider, even if it is set later.
        meter_provider: where metrics go; by default the global one.
        logger_provider: where events go; by default the global one.
        detail: "operations" shows workflows, agents, tools, retrievals, embeddings, rerankers and model calls;
            "standard" also graph nodes, named runnables, workflow steps, synthesis and node parsing; "everything"
            also prompts, parsers, unnamed runnables and every other method that the framework reports. Totals are the
            same at every level.
        content: what text is recorded: "none", "spans", "events", "both" or a `ContentPolicy`. By default the
            environment variable OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT decides; without it, none.
        prices: your price book: a `PriceBook`, a mapping of the same form, or the path of a .toml or .json file. Its
            prices come before those of the price list (the extra `cost`).
        attribution: labels for every call, such as {"feature": "search"}, or a function that returns them and is
            called at the root of every call. `with attribution(...)` and metadata override them.
        baggage_keys: the entries of incoming baggage that become labels; by default none.
        budgets: who may spend what, see `Budget`.
        metric_labels: the labels on the metrics of tokens and cost, by default ("tenant", "feature"). Or a mapping from
            each label to how many values it may take (by default 100), or to the values it may take.
        estimate_usage: True estimates the tokens of model calls that report no usage, such as streams that were not
            asked for it. The spans say `otel_callbacks.usage.source=estimated`, and estimates are never priced.
        start_events: True emits the log event `otel_callbacks.run.started` when an agent or workflow starts, so that a
            back end shows what is running now; its span arrives when it has ended.
        inference_spans: who has the span of a model call if its client is instrumented too. "own": we have; the
            instrumentations of OpenAI's and Anthropic's clients by OpenTelemetry, OpenInference and OpenLLMetry stay
            silent inside, and spans of HTTP clients are kept. "defer": they have; our span says
            `otel_callbacks.usage.source=deferred` instead of the usage, while totals, price and labels stay.
        agent_usage: False leaves the tokens of an agent's own model calls off its span, for back ends that add up
            every span.
    """

    tracer_provider: TracerProvider | None
    meter_provider: MeterProvider | None
    logger_provider: LoggerProvider | None
    detail: Detail
    content: ContentPolicy | str | None
    prices: Prices | None
    attribution: LabelSource | None
    baggage_keys: Sequence[str]
    budgets: Iterable[Budget]
    metric_labels: MetricLabels
    estimate_usage: bool
    start_events: bool
    inference_spans: InferenceSpans
    agent_usage: bool


def recorder(**options: Unpack[Options]) -> Recorder:
    """Makes the recorder of a handler. For an option that is not given, the environment decides, then the default.

    Raises:
        TypeError, ValueError: an argument is wrong. The message names it, its value, and what would be right.
        OSError: the file of the price book cannot be read.
    """
    missing: Any = {name: value for name, value in _in_environment().items() if options.get(name) is None}
    return _recorder(**{**options, **missing})


def _in_environment() -> dict[str, Any]:
    """Returns the options that the environment sets; those that no recorder could have are logged and left out."""
    return option_variables.read(variables(), check=_recorder)


def variables() -> dict[str, Any]:
    """Returns the options that have an environment variable, with their types; a provider is no text."""
    return {name: kind for name, kind in Options.__annotations__.items() if not name.endswith("_provider")}


def _recorder(**options: Unpack[Options]) -> Recorder:
    for unknown in options.keys() - Options.__annotations__.keys():
        raise TypeError(f"a handler has no argument {unknown}; use {', '.join(Options.__annotations__)}")
    _check("tracer_provider", options.get("tracer_provider"), TracerProvider)
    _check("meter_provider", options.get("meter_provider"), MeterProvider)
    _check("logger_provider", options.get("logger_provider"), LoggerProvider)
    return Recorder(
        options.get("tracer_provider"),
        options.get("meter_provider"),
        options.get("logger_provider"),
        detail=_one_of("detail", options.get("detail", "standard"), DETAILS),
        content_policy=ContentPolicy.parse(options.get("content")),
        pricer=_pricer(options.get("prices")),
        attribution=LabelResolver(options.get("attribution"), options.get("baggage_keys", ())),
        budgets=Budgets(options.get("budgets", ())),
        label_rules=LabelRules(options.get("metric_labels", ("tenant", "feature"))),
        estimates_usage=_flag("estimate_usage", options.get("estimate_usage", False)),
        start_events=_flag("start_events", options.get("start_events", False)),
        inference_spans=_one_of("inference_spans", options.get("inference_spans", "own"), INFERENCE_SPANS),
        agent_usage=_flag("agent_usage", options.get("agent_usage", True)),
    )


def _one_of(name: str, value: Choice, choices: Sequence[Choice]) -> Choice:
    if value not in choices:
        raise ValueError(f"{name}={value!r:.100} is not known; use one of {', '.join(map(repr, choices))}")
    return value


def _flag(name: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r:.100}")
    return value


def _check(name: str, value: Any, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(
            f"{name} must be an OpenTelemetry {kind.__name__} or None for the global one,"
            f" not {type(value).__name__}: {value!r:.100}"
        )


def _pricer(prices: Prices | None) -> OperationPricer:
    """Returns what prices calls, and imports the price list."""
    pricer = _with_price_list_only() if prices is None else OperationPricer(Pricer(as_price_book(prices)))
    pricer.start_import()
    return pricer


@functools.cache
def _with_price_list_only() -> OperationPricer:
    return OperationPricer(Pricer())


_Handler = TypeVar("_Handler")


def handler_for(handler: _Handler | None, kind: type[_Handler], options: Mapping[str, Any]) -> _Handler:
    """Returns the handler that was passed to `instrument`, else a new one with these options.

    Raises:
        TypeError: both were passed, the handler is of another kind, or an option is wrong.
    """
    if handler is None:
        return kind(**options)
    if not isinstance(handler, kind):
        raise TypeError(f"handler must be an {kind.__module__}.{kind.__name__}, not {handler!r:.100}")
    if options:
        raise TypeError(
            f"instrument() takes a handler or the arguments of a new one, not both; give {', '.join(options)}"
            f" to the {kind.__name__}"
        )
    return handler
