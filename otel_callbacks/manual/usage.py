"""Records model calls that the application makes without a framework."""

from decimal import Decimal

from otel_callbacks.manual import results
from otel_callbacks.manual.amounts import check_amount, check_count
from otel_callbacks.manual.current_recorder import current_recorder
from otel_callbacks.operations import Inference, Usage, providers
from otel_callbacks.recording import by_hand
from otel_callbacks.runtime.arguments import names_arguments
from otel_callbacks.runtime.faults import guarded


@names_arguments("record_usage()")
def record_usage(
    *,
    model: str,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    cache_read_input_tokens: int | None = None,
    cache_write_input_tokens: int | None = None,
    reasoning_output_tokens: int | None = None,
    usage: object = None,
    provider: str | None = None,
    response_model: str | None = None,
    base_url: str | None = None,
    service_tier: str | None = None,
    cost_usd: Decimal | float | str | None = None,
) -> None:
    """Records the tokens and cost of a model call on the current span, with price, labels, totals and metrics as usual.

    Inside a framework's model that does not report usage, it completes that model's span. If the current span is
    another operation of otel-callbacks, or already has a call, the call gets a span of its own below.

    Counts that contradict each other, such as more cached than sent, raise no error, nor does a senseless `usage`: both
    come from a provider. The call becomes `unpriced`, with the reason `invalid_usage` or `no_usage`.

    Args:
        model: the requested model.
        input_tokens: all input tokens, cached ones included.
        output_tokens: all output tokens, reasoning included.
        cache_read_input_tokens: the input tokens that the provider read from its cache.
        cache_write_input_tokens: the input tokens that the provider wrote to its cache.
        reasoning_output_tokens: the output tokens spent on reasoning.
        usage: the provider's usage report, a mapping or an object, instead of the counts; read as `provider` means it,
            with what it says of the price beside them (searches, a tier, a cost).
        provider: the provider, such as "openai", as in `gen_ai.provider.name`.
        response_model: the model that answered, as the provider names it.
        base_url: the address of the server, if it is not the provider's default.
        service_tier: the service tier that the response reports.
        cost_usd: the cost in USD that the provider or a gateway reports.

    Raises:
        TypeError: `model` is not a string, or empty, a count is not a whole number, or `cost_usd` is not an amount.
        ValueError: a count is negative or too large, or `cost_usd` is negative, infinite or too large.
    """
    if not isinstance(model, str) or not model:
        raise TypeError(f"model must be the name of a model, not {model!r}")
    counts = Usage(
        check_count("input_tokens", input_tokens),
        check_count("output_tokens", output_tokens),
        check_count("cache_read_input_tokens", cache_read_input_tokens),
        check_count("cache_write_input_tokens", cache_write_input_tokens),
        check_count("reasoning_output_tokens", reasoning_output_tokens),
    )
    name = providers.provider_name(provider)
    address, port = providers.endpoint(name, base_url)
    call = Inference(
        name=model,
        provider=name,
        server_address=address,
        server_port=port,
        response_model=response_model,
        response_service_tier=service_tier,
        usage=counts if usage is None else None,
    )
    _record(call, usage, None if cost_usd is None else check_amount("cost_usd", cost_usd))


@guarded
def _record(call: Inference, usage: object, cost: Decimal | None) -> None:
    if usage is not None:  # it may tell more than counts: searches, a tier, a cost
        results.read_response(call, {"usage": usage}, with_content=False)
    if cost is not None:
        call.reported_usd = cost
    by_hand.record_usage(current_recorder(), call)
