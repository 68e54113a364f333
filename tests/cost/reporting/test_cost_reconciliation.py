"""Traces compared with invoices: the columns are from real exports, the numbers are made up."""

import csv
import json
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cost_spans import DAY, DAY_1, SECOND, call

from otel_callbacks.cost import InvoiceError, Reconciliation, reconcile
from otel_callbacks.cost.reporting.differences import ChargedSums, TracedSums, usual_cause
from otel_callbacks.cost.reporting.invoices import Line, read_invoice
from otel_callbacks.cost.reporting.model_names import model_of_name, model_within

OPENAI_COSTS = (
    "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,quantity_unit,"
    "line_item,user_id,api_key_id,project_id,organization_id,project_name,organization_name,user_email,api_source"
)
OPENAI_TOTALS = (
    "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id,"
    "organization_id,organization_name"
)
OPENAI_USAGE = (
    "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,"
    "service_tier,input_tokens,output_tokens,input_cached_tokens"
)
ANTHROPIC_COST = (
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type,"
    "inference_geo,speed"
)
ANTHROPIC_USAGE = (
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
    "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
    "usage_output_tokens,web_search_count,inference_geo,speed"
)
FOCUS = (
    "BilledCost,BillingCurrency,ChargeCategory,ChargePeriodStart,ChargePeriodEnd,ConsumedQuantity,ConsumedUnit,"
    "ProviderName,ServiceCategory,ServiceName,SkuMeter,ChargeDescription"
)
START = DAY_1 // SECOND
TIMES = f"{START},{START + 86_400},2026-10-07T00:00:00+00:00,2026-10-08T00:00:00+00:00"
AI = "AI and Machine Learning"


@pytest.fixture
def invoice(tmp_path: Path) -> Any:
    def write(header: str, *lines: str) -> Path:
        path = tmp_path / f"invoice-{len(list(tmp_path.iterdir()))}.csv"
        path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8-sig")
        return path

    return write


def openai(amount: str, quantity: str, item: str) -> str:
    return f'{TIMES},{amount},usd,{quantity},tokens,"{item}",,,,,,,,'


def focus(cost: str, meter: str, quantity: str = "", unit: str = "", **given: str) -> str:
    cells = {
        "currency": "USD",
        "category": "Usage",
        "start": "2026-10-07T00:00:00Z",
        "end": "2026-10-08T00:00:00Z",
        "provider": "AWS",
        "kind": AI,
        "service": "Amazon Bedrock",
        **given,
    }
    dates = f"{cells['start']},{cells['end']}"
    return (
        f"{cost},{cells['currency']},{cells['category']},{dates},{quantity},{unit},{cells['provider']},"
        f"{cells['kind']},{cells['service']},{meter},"
    )


def rows(found: Reconciliation, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row.dict()[name] for name in names) for row in found.rows]


ALL = (
    "model",
    "calls",
    "traced_input_tokens",
    "charged_input_tokens",
    "traced_output_tokens",
    "charged_output_tokens",
    "traced_usd",
    "charged_usd",
    "cause",
)


def test_openai_by_line_item(invoice: Any) -> None:
    spans = [call("1", cached=400), call("2", answered="gpt-4o-2024-08-06")]
    path = invoice(
        OPENAI_COSTS,
        f"{START - 86_400},{START},,,,,,,,,,,,,,,",
        openai("0.00400000000000", "1600.0", "gpt-4o-2024-08-06, input"),
        openai("0.001", "400", "gpt-4o-2024-08-06, cached input"),
        openai("0.002", "200", "evals | gpt-4o-2024-08-06, output"),
        openai("0.03", "3", "web search tool calls"),
    )
    found = reconcile(spans, path)
    assert rows(found, *ALL) == [
        ("gpt-4o-2024-08-06", 2, 2_000, 2_000, 200, 200, Decimal("0.007"), Decimal("0.007"), ""),
        ("web search tool calls", 0, 0, None, 0, None, 0, Decimal("0.03"), "not for tokens"),
    ]
    assert found.coverage == 1.0 and not found.agrees  # the searches were not traced


def test_openai_totals_and_usage_go_together(invoice: Any) -> None:
    spans = [call("1"), call("2", model="o3", usd=0.5), call("3", start=DAY_1 + DAY)]
    totals = invoice(
        OPENAI_TOTALS,
        f"{TIMES},0.5035,usd,,,org-1,Acme",
        f"{START + 86_400},{START + 172_800},,,,,,,,",
    )
    usage = invoice(OPENAI_USAGE, f"{TIMES},,2.0,,,gpt-4o-2024-08-06,FALSE,default,2000.0,200.0,0.0")
    found = reconcile(spans, totals, usage)
    assert rows(found, "day", *ALL[:4], "charged_usd", "cause") == [
        ("2026-10-07", "(all models)", 2, 2_000, 2_000, Decimal("0.5035"), ""),
        (
            "2026-10-08",
            "gpt-4o",
            1,
            1_000,
            0,
            0,
            "not charged here: another account or key, or not billed yet",
        ),
    ]


def test_anthropic_invoices_use_display_names(invoice: Any) -> None:
    claude = {"provider": "anthropic", "model": "claude-haiku-4-5-20251001"}
    spans = [call("1", **claude, usd=0.016), call("2", **claude, usd=0.003), call("3")]
    kind = "Default,key,message,≤ 200k"
    cost = invoice(
        ANTHROPIC_COST,
        f"2026-10-07,Claude Haiku 4.5,{kind},input_no_cache,0.01,0.01,token,global,",
        f"2026-10-07,Claude Haiku 4.5,{kind},output,0.01,0.01,token,global,",
        f"2026-10-07,,{kind},,0.02,0.02,web_search,global,",
    )
    used = invoice(
        ANTHROPIC_USAGE,
        "2026-10-07 13:00,claude-haiku-4-5-20251001,k,Default,standard,≤ 200k,500,200,300,1000,200,0,global,",
    )
    found = reconcile(spans, cost, used)
    assert rows(found, *ALL) == [
        (
            claude["model"],
            2,
            2_000,
            2_000,
            200,
            200,
            Decimal("0.019"),
            Decimal("0.02"),
            "rounded to the cent",
        ),
        ("web_search", 0, 0, None, 0, None, 0, Decimal("0.02"), "not for tokens"),
    ]
    assert found.left_out.calls == 1  # OpenAI's


def test_focus_and_the_models_of_a_cloud(invoice: Any) -> None:
    bedrock = {"provider": "aws.bedrock", "model": "us.anthropic.claude-sonnet-4-5-20250929-v1:0"}
    service = "Claude Sonnet 4.5 (Amazon Bedrock Edition)"
    path = invoice(
        FOCUS,
        focus("0.0033", "Million Input Tokens", "1", "1K tokens", service=service),
        focus("0.00165", "Million Output Tokens", "100", "Tokens", service=service),
        focus("0.2", "USE1-NovaLite-input-tokens", "7", "1K tokens"),
        focus("3", "", category="Tax", service="Tax"),
        focus("100", "BoxUsage", "24", "Hrs", kind="Compute", service="Amazon EC2"),
    )
    found = reconcile([call("1", **bedrock, usd=0.0045)], path)
    assert rows(found, "provider", *ALL[:5], "charged_output_tokens", "charged_usd", "cause") == [
        (
            "aws",
            "Amazon Bedrock · USE1-NovaLite-input-tokens",
            0,
            0,
            7_000,
            0,
            0,
            Decimal("0.2"),
            "not traced",
        ),
        ("aws", "tax", 0, 0, None, 0, None, 3, "not for tokens"),
        (
            "aws",
            bedrock["model"],
            1,
            1_000,
            1_000,
            100,
            100,
            Decimal("0.00495"),
            "10 % more: a regional endpoint or data residency",
        ),
    ]


@pytest.mark.parametrize(
    ("provider", "ours", "theirs"),
    [
        ("Amazon Web Services", "aws.bedrock", "aws"),
        ("Microsoft", "azure.ai.openai", "azure"),
        ("Google Cloud", "gcp.vertex_ai", "gcp"),
        ("OpenAI", "openai", "openai"),
        ("Mistral AI", "mistral_ai", "mistral_ai"),
    ],
)
def test_who_bills_according_to_focus(provider: str, ours: str, theirs: str, invoice: Any) -> None:
    path = invoice(FOCUS, focus("0.0035", "gpt 4o Inp", provider=provider))
    assert rows(reconcile([call("1", provider=ours)], path), "provider", "model") == [(theirs, "gpt-4o")]


# What does not match.

TRACED = TracedSums(calls=10, input_tokens=1_000, output_tokens=100, usd=Decimal(10))
CAUSES = {
    "10": "",
    "10.05": "",
    "5": "half price",
    "11": "regional",
    "17": "priority tier",
    "20": "double price",
    "11.9": "tax",
    "12": "tax",
    "8": "other prices",
    "0": "free tokens",
}


@pytest.mark.parametrize("usd", CAUSES)
def test_the_usual_causes_of_a_different_amount(usd: str) -> None:
    named = usual_cause(TRACED, ChargedSums(3, 1_000, 100, Decimal(usd)))
    assert (CAUSES[usd] in named) if CAUSES[usd] else named == ""


@pytest.mark.parametrize(
    ("traced", "charged", "says"),
    [
        (TRACED, ChargedSums(1, 1_005, 100, Decimal(10)), ""),
        (
            TRACED,
            ChargedSums(1, 1_100, 100, Decimal(11)),
            "more tokens than traced: calls without tracing, or retries",
        ),
        (TRACED, ChargedSums(1, 500, 100, Decimal(5)), "fewer tokens than traced"),
        (TRACED, ChargedSums(0, 0, 0, Decimal(0)), "not charged here"),
        (TRACED, ChargedSums(1, None, None, Decimal(5)), "half price"),
        (TRACED, ChargedSums(1, 1_000, 100, None), ""),
        (TracedSums(), ChargedSums(1, 1_000, 100, Decimal(5)), "not traced"),
        (
            TRACED._replace(unpriced_calls=2),
            ChargedSums(1, 1_000, 100, Decimal(20)),
            "2 calls without a price",
        ),
        (
            TRACED._replace(usd=Decimal("0.006")),
            ChargedSums(1, None, None, Decimal("0.01"), True),
            "rounded to",
        ),
        (
            TRACED._replace(usd=Decimal("0.004")),
            ChargedSums(1, None, None, Decimal(0), True),
            "rounded to the cent",
        ),
        (TRACED._replace(usd=Decimal("0.004")), ChargedSums(1, None, None, Decimal("0.008")), "double price"),
    ],
)
def test_tokens_come_before_money(traced: TracedSums, charged: ChargedSums, says: str) -> None:
    named = usual_cause(traced, charged)
    assert named.startswith(says) if says else named == ""


def test_calls_that_are_not_compared(invoice: Any) -> None:
    path = invoice(OPENAI_COSTS, openai("0.0035", "1000", "gpt-4o, input"))
    spans = [
        call("1"),
        call("before", start=DAY_1 - 1),
        call("another", provider="anthropic"),
        call("cached", status="cached", usd=0.0),
        call("nobody's", provider=None),
    ]
    found = reconcile(spans, path)
    assert (found.total.traced.calls, found.left_out.calls) == (1, 3)
    assert "3 calls (0.010500 USD) of days or providers" in str(found)


def test_coverage_is_of_the_calls_that_are_compared(invoice: Any) -> None:
    path = invoice(OPENAI_COSTS, openai("0.0035", "1000", "gpt-4o, input"))
    found = reconcile([call("1"), call("2", usd=None)], path)
    assert found.coverage == 0.5
    assert "1 of 2 calls have a price" in str(found)


def test_the_total_compares_like_with_like(invoice: Any) -> None:
    """OpenAI's file counts tokens, Anthropic's only has amounts."""
    spans = [call("1"), call("2", provider="anthropic", model="claude-opus-5", usd=0.01)]
    costs = invoice(
        OPENAI_COSTS, openai("0.0035", "1000", "gpt-4o, input"), openai("0", "100", "gpt-4o, output")
    )
    other = invoice(ANTHROPIC_COST, "2026-10-07,Claude Opus 5,,,,,output,0.01,0.01,token,,")
    found = reconcile(spans, costs, other)
    assert found.total.traced == TracedSums(2, 0, 1_000, 100, Decimal("0.0135"))
    assert found.agrees


def test_a_total_without_tokens_on_the_invoice(invoice: Any) -> None:
    found = reconcile([call("1")], invoice(OPENAI_TOTALS, f"{TIMES},0.0035,usd,,,,"))
    assert (found.total.traced.input_tokens, found.total.charged.tokens) == (1_000, None)
    used = reconcile([call("1")], invoice(OPENAI_USAGE, f"{TIMES},,1,,,gpt-4o,FALSE,default,1000,100,0"))
    assert (used.total.traced.usd, used.total.charged.usd, used.agrees) == (Decimal("0.0035"), None, True)


def test_spellings_of_one_model_are_equal() -> None:
    for one, other in (
        ("claude-haiku-4-5-20251001", "Claude Haiku 4.5"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5"),
        ("claude-3-5-haiku-20241022", "Claude Haiku 3.5"),
        ("models/gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("openai/gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/eu.amazon.nova-lite-v1:0", "Nova Lite"),
    ):
        assert model_of_name(one) == model_of_name(other)
    for one, other in (
        ("gpt-5.4", "gpt-4.5"),
        ("gpt-4o", "gpt-4o-mini"),
        ("llama-3.1-405b", "llama-3.1-70b"),
    ):
        assert model_of_name(one) != model_of_name(other)


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("gpt 4o 0806 Inp glbl Tokens", "gpt-4o"),
        ("gpt 4o mini 0718 Outp glbl Tokens", "gpt-4o-mini"),
        ("gpt 4o nano Inp", None),
        ("Claude Opus 4.5 (Amazon Bedrock Edition)", None),
        ("Claude Opus 5 (Amazon Bedrock Edition)", "claude-opus-5"),
        ("Amazon EC2", None),
    ],
)
def test_a_model_is_found_among_other_words(text: str, model: str | None) -> None:
    known = {
        model_of_name(name): name for name in ("gpt-4o", "gpt-4o-mini", "claude-opus-5", "claude-opus-4")
    }
    found = model_within(text, known)
    assert (known[found] if found else None) == model


# Bad files.


@pytest.mark.parametrize(
    ("header", "line", "says"),
    [
        (OPENAI_COSTS, openai("much", "1", "gpt-4o, input"), r":3: amount_value: 'much' is not a number"),
        (OPENAI_COSTS, openai("NaN", "1", "gpt-4o, input"), r":3: amount_value: 'NaN' is not a number"),
        (OPENAI_COSTS, openai("1", "-1", "gpt-4o, input"), r":3: quantity: '-1' is negative"),
        (OPENAI_COSTS, openai("1", "1", "x").replace("usd", "eur"), r":3: amount_currency: 'eur' is not USD"),
        (
            OPENAI_COSTS,
            openai("1", "1", "x").replace(str(START), "now", 1),
            r":3: start_time: 'now' is not a",
        ),
        (OPENAI_COSTS, "1,2,3", r":3: has more or fewer cells than the header"),
        (OPENAI_COSTS, openai("1", "1", "x") + ",,", r":3: has more or fewer cells"),
        (ANTHROPIC_COST, "October,,,,,,,1,1,,,", r":3: usage_date_utc: 'October' is not a date"),
        (FOCUS, focus("1", "x", currency="EUR"), r":3: BillingCurrency: 'EUR' is not USD"),
        (
            FOCUS,
            focus("1", "x", end="2026-11-07T00:00:00Z"),
            r":3: ChargePeriodEnd: .* export charges by the day",
        ),
    ],
)
def test_a_malformed_line_is_named(header: str, line: str, says: str, invoice: Any) -> None:
    good = {OPENAI_COSTS: openai("1", "1", "gpt-4o, input"), FOCUS: focus("1", "x")}
    path = invoice(header, good.get(header, "2026-10-07,,,,,,,1,1,,,"), line)
    with pytest.raises(InvoiceError, match=says) as raised:
        read_invoice(path)
    assert str(raised.value).startswith(str(path))


@pytest.mark.parametrize("header", ["a,b", "", "start_time,end_time,start_time_iso,end_time_iso"])
def test_a_file_that_is_not_an_invoice(header: str, invoice: Any) -> None:
    with pytest.raises(InvoiceError, match=r":1: is not an invoice of a known format.*Anthropic cost"):
        read_invoice(invoice(header))


def test_an_invoice_about_something_else_does_not_agree(invoice: Any) -> None:
    storage = invoice(FOCUS, focus("12.50", "storage", service="Amazon S3", kind="Storage"))
    with pytest.raises(InvoiceError, match=r"csv: no line is about models; nothing can be compared"):
        reconcile([call("1")], storage)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "latin.csv"
    path.write_bytes(OPENAI_COSTS.encode() + b"\n\xe9\n")
    with pytest.raises(InvoiceError, match="is not UTF-8 text"):
        read_invoice(path)
    path.write_text(OPENAI_COSTS + '\n"a"b,\n')
    with pytest.raises(InvoiceError, match=r"latin.csv:2: is not CSV"):
        read_invoice(path)


def test_amounts_keep_their_digits(invoice: Any) -> None:
    path = invoice(
        OPENAI_TOTALS, f"{TIMES},0.003835980000000000000000000001,usd,,,,", f"{TIMES},-0.5,usd,,,,"
    )
    assert [line.usd for line in read_invoice(path)] == [
        Decimal("0.003835980000000000000000000001"),
        Decimal("-0.5"),
    ]
    assert read_invoice(invoice(OPENAI_TOTALS, f"{TIMES},,,,,,"))[0] == Line(
        day=read_invoice(path)[0].day, provider="openai"
    )


# How it is shown.


def test_how_it_is_shown(invoice: Any) -> None:
    found = reconcile([call("1")], invoice(OPENAI_COSTS, openai("0.00175", "1100", "gpt-4o, input")))
    first = str(found).splitlines()[2]
    assert first.split()[:8] == ["2026-10-07", "openai", "gpt-4o", "1", "1,100", "1,100", "0.0", "%"]
    assert first.endswith("0.003500     0.001750  100.0 %  half price: a batch, or the flex tier")
    row = next(csv.DictReader(StringIO(found.to_csv())))
    assert (row["charged_usd"], row["charged_input_tokens"], row["day"]) == ("0.00175", "1100", "2026-10-07")
    document = json.loads(found.to_json())
    assert (document["agrees"], document["coverage"]) == (False, 1.0)
    assert document["total"]["traced_usd"] == "0.0035"
    assert "<td>half price" in found._repr_mimebundle_()["text/html"]
