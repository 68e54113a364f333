"""Model calls that an application makes by hand, outside any framework."""

from decimal import Decimal, InvalidOperation

from otel_callbacks.manual.recorder import current_recorder
from otel_callbacks.operations import Inference, Usage, providers
from otel_callbacks.runtime.faults import guarded


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
    """Charges a model call made by hand to the current span, with the price, labels, totals and metrics of any other.

    Inside a model of a framework that reports no usage itself, it completes that model's span. On a span of this
    package of another kind, and on one that carries a call already, the call gets a span below it.

    Counts that make no sense (negative, more cached than sent) are not an error here, where they would hurt the
    application: the call is `unpriced` with the reason `invalid_usage`.

    Args:
        model: as asked for.
        input_tokens: all of them, the cached included.
        output_tokens: all of them, the reasoning included.
        cache_read_input_tokens: the part of the input that the provider had in its cache.
        cache_write_input_tokens: the part of the input that it put there.
        reasoning_output_tokens: the part of the output that was reasoning.
        usage: the provider's own report, a mapping or an object, instead of the counts.
        provider: such as "openai", as in `gen_ai.provider.name`.
        response_model: as the provider names what answered.
        base_url: the address of the server, if it is not the provider's own.
        service_tier: as the response reports it.
        cost_usd: what the provider or a gateway says it cost.

    Raises:
        TypeError: `model` is no text.
        ValueError: `cost_usd` is no amount of money.
    """
    if not isinstance(model, str) or not model:
        raise TypeError(f"model must be the name of a model, not {model!r}")
    counts = Usage(
        input_tokens,
        output_tokens,
        cache_read_input_tokens,
        cache_write_input_tokens,
        reasoning_output_tokens,
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
        usage=providers.read_usage(usage) if usage is not None else counts,
        reported_usd=_amount(cost_usd),
    )
    _account(call)


@guarded
def _account(call: Inference) -> None:
    current_recorder().account(call)


def _amount(usd: Decimal | float | str | None) -> Decimal | None:
    if usd is None:
        return None
    try:
        amount = Decimal(str(usd))
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(usd, bool) or not amount.is_finite() or amount < 0:
        raise ValueError(f"cost_usd must be an amount of USD, not {usd!r}")
    return amount
