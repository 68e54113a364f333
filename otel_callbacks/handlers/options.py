"""The arguments that every handler takes, and the checks on them."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar, Unpack

from opentelemetry._logs import LoggerProvider
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from otel_callbacks import profiles
from otel_callbacks.cost.attribution import LabelResolver, LabelSource
from otel_callbacks.cost.budget import Budget, Budgets
from otel_callbacks.cost.call_cost import OperationPricer
from otel_callbacks.cost.pricing import Pricer, Prices, as_price_book
from otel_callbacks.handlers import option_variables
from otel_callbacks.privacy.patterns import compile_secrets
from otel_callbacks.privacy.policy import ContentPolicy, Where
from otel_callbacks.recording.cost_metrics import LabelRules, MetricLabels
from otel_callbacks.recording.recorder import DETAILS, INFERENCE_SPANS, Detail, InferenceSpans, Recorder
from otel_callbacks.runtime.arguments import unknown_argument

Choice = TypeVar("Choice")


class Options(TypedDict, total=False):
    """The arguments of a handler, all optional; `SharedByHandlers.__init__` says what they mean."""

    tracer_provider: TracerProvider | None
    meter_provider: MeterProvider | None
    logger_provider: LoggerProvider | None
    detail: Detail
    content: ContentPolicy | Where | None
    prices: Prices | None
    attribution: LabelSource | None
    baggage_keys: Sequence[str]
    budgets: Iterable[Budget]
    metric_labels: MetricLabels
    estimate_usage: bool
    start_events: bool
    profiles: Sequence[str]
    inference_spans: InferenceSpans
    agent_usage: bool


def recorder(**options: Unpack[Options]) -> Recorder:
    """Makes the recorder of a handler. For an option that is not given, the environment decides, then the default.

    Raises:
        TypeError, ValueError: an argument is wrong. The message names it, its value, and what would be right.
        OSError: the file of the price book cannot be read.
    """
    given: Any = {name: value for name, value in options.items() if value is not None}
    return _recorder(**{**_in_environment(), **given})


def _in_environment() -> dict[str, Any]:
    """Returns the options that the environment sets; those that no recorder could have are logged and left out."""
    return option_variables.read(variables(), check=_recorder)


def variables() -> dict[str, Any]:
    """Returns the options that have an environment variable, with their types; a provider is no text."""
    return {name: kind for name, kind in Options.__annotations__.items() if not name.endswith("_provider")}


def _recorder(**options: Unpack[Options]) -> Recorder:
    for unknown in options.keys() - Options.__annotations__.keys():
        raise unknown_argument("a handler", unknown, Options.__annotations__)
    _check("tracer_provider", options.get("tracer_provider"), TracerProvider)
    _check("meter_provider", options.get("meter_provider"), MeterProvider)
    _check("logger_provider", options.get("logger_provider"), LoggerProvider)
    compile_secrets()
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
        profiles=profiles.checked(options.get("profiles", profiles.DEFAULT)),
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
