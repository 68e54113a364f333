# ruff: noqa: E501 - a table is read by its rows
"""Calls and their costs, worked out by hand: tokens times the list price of the day, written out.

`owes` is computed with fractions from the literals in this table, by none of the code under test. The rates are
those of the providers' price pages (as of genai-prices 0.2.3), or of the `BOOK` below.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction

from otel_callbacks.cost.price_book import PriceBook
from otel_callbacks.cost.pricing import Call
from otel_callbacks.operations import Usage

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

BOOK = PriceBook.of(
    {
        "version": "contract 7",
        "aliases": {"prod-chat": "gpt-4o", "house": "llama-3.3-70b"},
        "hosts": {"llm.corp.example": "openai", "*.gateway.example": "azure"},
        "prices": [
            {"model": "llama-3.3-*", "input": "0.10", "output": "0.30"},
            {"model": "llama-3.3-70b", "host": "*.gpu.example", "input": "0.20", "output": "0.60"},
            {"model": "gpt-4o-mini", "provider": "azure", "input": "0.12", "output": "0.48"},
            {
                "model": "gpt-4o-mini",
                "provider": "azure",
                "service_tier": "batch",
                "input": 0,
                "output": "0.24",
            },
            {"model": "dated", "input": "1", "output": "2"},
            {"model": "dated", "valid_from": "2026-03-01", "input": "3", "output": "4"},
            {"model": "dated", "valid_from": "2026-06-01", "input": "5", "output": "6"},
            {"model": "free-*", "input": 0, "output": 0},
            {"model": "fee", "per_request": "0.005", "input": "1", "output": "1"},
            {"model": "soon", "valid_from": "2027-01-01", "input": "1", "output": "1"},
            {
                "model": "stepped",
                "input": "1",
                "output": "2",
                "cache_read": "0.1",
                "tiers": [
                    {"above": 1_000, "input": "10"},
                    {"above": 2_000, "output": "30", "cache_read": "4"},
                ],
            },
            {"model": "hosted", "input": "1", "output": "1"},
            {"model": "hosted", "host": "*.gpu.example", "input": "2", "output": "2"},
            {"model": "hosted", "provider": "azure", "input": "3", "output": "3"},
            {"model": "talker", "input": "1", "output": "2", "reasoning": "7", "audio_output": "9"},
            {"model": "thinker", "input": "1", "output": "2", "reasoning": "7"},
            {"model": "writer", "input": "1", "output": "2", "cache_write": "1.25", "cache_write_1h": "2"},
            {"model": "seer", "input": "1", "output": "2", "image_input": "5", "image_output": "40"},
            {"model": "tiny", "input": "0.000000000001", "output": "0.123456789012345678"},
        ],
    }
)

Side = Sequence[tuple[int, str]]


@dataclass(frozen=True)
class Golden:
    name: str
    call: Call
    input: Side
    output: Side
    cache_read: Side
    cache_write: Side
    request: str
    model: str
    source: str


def owed(side: Side) -> Fraction:
    return sum((Fraction(tokens) * Fraction(rate) / 1_000_000 for tokens, rate in side), Fraction(0))


def at(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)


def row(
    name: str,
    who: str,
    model: str,
    usage: Usage,
    *,
    entry: str | None = None,
    source: str = "genai_prices",
    i: Side = (),
    o: Side = (),
    r: Side = (),
    w: Side = (),
    fee: str = "0",
    **call: object,
) -> Golden:
    """One line of the table: provider[@host], requested model, usage, and the tokens and rates of each side."""
    provider, _, host = who.partition("@")
    made = Call(
        provider=provider or None,
        host=host or None,
        request_model=model,
        usage=usage,
        started_at=call.pop("when", NOW),
        **call,
    )
    return Golden(name, made, i, o, r, w, fee, entry or model, source)


K = 1_000
M = 1_000_000
OPENAI, ANTHROPIC = "openai@api.openai.com", "anthropic@api.anthropic.com"
BEDROCK = "aws.bedrock@bedrock-runtime.us-east-1.amazonaws.com"
AZURE = "azure.ai.openai@acme.openai.azure.com"

OPENAI_ROWS = [
    row("plain", OPENAI, "gpt-4o", Usage(1_000, 500), i=[(1_000, "2.50")], o=[(500, "10")]),
    row("no host", "openai", "gpt-4o", Usage(1, 1), i=[(1, "2.50")], o=[(1, "10")]),
    row("upper case", OPENAI, "GPT-4o", Usage(7, 3), entry="gpt-4o", i=[(7, "2.50")], o=[(3, "10")]),
    row("dated snapshot", OPENAI, "gpt-4o", Usage(9, 9), response_model="gpt-4o-2024-08-06", i=[(9, "2.5")], o=[(9, "10")]),
    row("an older snapshot is dearer", OPENAI, "gpt-4o", Usage(1 * K, 1 * K), response_model="gpt-4o-2024-05-13", entry="gpt-4o-2024-05-13", i=[(1 * K, "5")], o=[(1 * K, "15")]),
    row("a snapshot of next year", OPENAI, "gpt-4o", Usage(10, 10), response_model="gpt-4o-2027-02-03", i=[(10, "2.5")], o=[(10, "10")]),
    row("cache read", OPENAI, "gpt-4o", Usage(1_000, 500, 400), i=[(600, "2.50")], r=[(400, "1.25")], o=[(500, "10")]),
    row("all read from cache", OPENAI, "gpt-4o", Usage(400, 1, 400), r=[(400, "1.25")], o=[(1, "10")]),
    row("reasoning is output", OPENAI, "gpt-5", Usage(100, 1_970, None, None, 956), i=[(100, "1.25")], o=[(1_970, "10")]),
    row("mini", OPENAI, "gpt-4o-mini", Usage(33_333, 7), i=[(33_333, "0.15")], o=[(7, "0.60")]),
    row("nano", OPENAI, "gpt-4.1-nano", Usage(3, 3, 1), i=[(2, "0.10")], r=[(1, "0.025")], o=[(3, "0.40")]),
    row("fine-tuned", OPENAI, "ft:gpt-4o-mini-2024-07-18:acme::x", Usage(10, 10), entry="ft:gpt-4o-mini", i=[(10, "0.30")], o=[(10, "1.20")]),
    row("embedding", OPENAI, "text-embedding-3-small", Usage(8_191), i=[(8_191, "0.02")]),
    row("large embedding", OPENAI, "text-embedding-3-large", Usage(1), i=[(1, "0.13")]),
    row("o3 before its price fell", OPENAI, "o3", Usage(1 * K, 1 * K), when=at(2025, 5, 1), i=[(1 * K, "10")], o=[(1 * K, "40")]),
    row("o3 on the last day", OPENAI, "o3", Usage(1 * K, 1 * K), when=at(2025, 6, 9, 23, 59), i=[(1 * K, "10")], o=[(1 * K, "40")]),
    row("o3 on the day", OPENAI, "o3", Usage(1 * K, 1 * K), when=at(2025, 6, 10), i=[(1 * K, "2")], o=[(1 * K, "8")]),
    row("o3 today, in ns", OPENAI, "o3", Usage(1 * K, 1 * K), when=1_795_348_800_000_000_000, i=[(1 * K, "2")], o=[(1 * K, "8")]),
    row("default tier", OPENAI, "gpt-4o", Usage(10, 10), service_tier="default", i=[(10, "2.5")], o=[(10, "10")]),
    row("auto tier", OPENAI, "gpt-4o", Usage(10, 10), service_tier="auto", i=[(10, "2.5")], o=[(10, "10")]),
    row("flex", OPENAI, "o3", Usage(100, 100, 50), service_tier="flex", i=[(50, "1")], r=[(50, "0.25")], o=[(100, "4")]),
    row("flex mini", OPENAI, "gpt-5-mini", Usage(100, 100, 50), service_tier="flex", i=[(50, "0.125")], r=[(50, "0.0125")], o=[(100, "1")]),
    row("priority", OPENAI, "gpt-4o", Usage(100, 100, 50), service_tier="priority", i=[(50, "4.25")], r=[(50, "2.125")], o=[(100, "17")]),
    row("PRIORITY", OPENAI, "gpt-4.1", Usage(100, 100), service_tier="PRIORITY", i=[(100, "3.5")], o=[(100, "14")]),
    row("batch", OPENAI, "gpt-5", Usage(100, 100, 10), service_tier="batch", i=[(90, "0.625")], r=[(10, "0.0625")], o=[(100, "5")]),
    row("batch as a tier", OPENAI, "gpt-4o-mini", Usage(100, 100), service_tier="batch", i=[(100, "0.075")], o=[(100, "0.30")]),
    row("at the step", OPENAI, "gpt-5.4", Usage(272_000, 10), i=[(272_000, "2.5")], o=[(10, "15")]),
    row("over the step", OPENAI, "gpt-5.4", Usage(272_001, 10, 2_001), i=[(270_000, "5")], r=[(2_001, "0.5")], o=[(10, "22.5")]),
    row("over the step, flex", OPENAI, "gpt-5.4", Usage(272_001, 10), service_tier="flex", i=[(272_001, "2.5")], o=[(10, "11.25")]),
    row("audio", OPENAI, "gpt-audio", Usage(100, 50, None, None, None, 80, 40), i=[(20, "2.5"), (80, "32")], o=[(10, "10"), (40, "64")]),
    row("images sent are text", OPENAI, "gpt-4o", Usage(1_000, 5, image_input_tokens=765), i=[(1_000, "2.5")], o=[(5, "10")]),
]  # fmt: skip

ANTHROPIC_ROWS = [
    row("sonnet 4", ANTHROPIC, "claude-sonnet-4-20250514", Usage(1_000, 500), entry="claude-sonnet-4-0", i=[(1_000, "3")], o=[(500, "15")]),
    row("cache read and write", ANTHROPIC, "claude-sonnet-4-20250514", Usage(150, 10, 80, 50), entry="claude-sonnet-4-0", i=[(20, "3")], r=[(80, "0.30")], w=[(50, "3.75")], o=[(10, "15")]),
    row("written for an hour", ANTHROPIC, "claude-sonnet-4-20250514", Usage(150, 10, 80, 50, cache_write_1h_input_tokens=50), entry="claude-sonnet-4-0", i=[(20, "3")], r=[(80, "0.30")], w=[(50, "6")], o=[(10, "15")]),
    row("written for both", ANTHROPIC, "claude-haiku-4-5-20251001", Usage(100, 10, 0, 60, cache_write_1h_input_tokens=20), entry="claude-haiku-4-5", i=[(40, "1")], w=[(40, "1.25"), (20, "2")], o=[(10, "5")]),
    row("opus 4.5", ANTHROPIC, "claude-opus-4-5", Usage(1, 1), i=[(1, "5")], o=[(1, "25")]),
    row("the answer's model counts", ANTHROPIC, "claude-latest", Usage(10, 10), response_model="claude-3-5-haiku-20241022", entry="claude-3-5-haiku-latest", i=[(10, "0.80")], o=[(10, "4")]),
    row("batch", ANTHROPIC, "claude-opus-4-5", Usage(100, 10, 20, 30), service_tier="batch", i=[(50, "2.50")], r=[(20, "0.25")], w=[(30, "3.125")], o=[(10, "12.50")]),
    row("standard tier", ANTHROPIC, "claude-opus-4-5", Usage(10, 1), service_tier="standard", i=[(10, "5")], o=[(1, "25")]),
    row("fast", ANTHROPIC, "claude-opus-4-8", Usage(10, 1), conditions={"speed": "fast"}, i=[(10, "10")], o=[(1, "50")]),
    row("200,000", ANTHROPIC, "claude-sonnet-4-5-20250929", Usage(200_000, 10, 100_000, 50_000), entry="claude-sonnet-4-5", i=[(50_000, "3")], r=[(100_000, "0.30")], w=[(50_000, "3.75")], o=[(10, "15")]),
    row("200,001, most of it cached", ANTHROPIC, "claude-sonnet-4-5-20250929", Usage(200_001, 10, 100_000, 50_000), entry="claude-sonnet-4-5", i=[(50_001, "6")], r=[(100_000, "0.60")], w=[(50_000, "7.50")], o=[(10, "22.50")]),
    row("long and written for an hour", ANTHROPIC, "claude-sonnet-4-5-20250929", Usage(300_000, 0, 0, 300_000, cache_write_1h_input_tokens=300_000), entry="claude-sonnet-4-5", w=[(300_000, "12")]),
    row("a step that a later day removed", ANTHROPIC, "claude-sonnet-4-6", Usage(300_000, 1), when=at(2026, 3, 12), i=[(300_000, "6")], o=[(1, "22.50")]),
    row("from that day on", ANTHROPIC, "claude-sonnet-4-6", Usage(300_000, 1), when=at(2026, 3, 13), i=[(300_000, "3")], o=[(1, "15")]),
    row("a step at 100,000", ANTHROPIC, "claude-haiku-5-5", Usage(100_001, 10), i=[(100_001, "0.50")], o=[(10, "2.50")]),
]  # fmt: skip

REGIONAL, GLOBAL = "regional.anthropic.claude-{}-v1:0", "global.anthropic.claude-{}-v1:0"
CLOUD_ROWS = [
    row("bedrock, regional", BEDROCK, "us.anthropic.claude-sonnet-4-20250514-v1:0", Usage(10, 10), entry=REGIONAL.format("sonnet-4-20250514"), i=[(10, "3")], o=[(10, "15")]),
    row("bedrock, a profile's ARN", BEDROCK, "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-20250514-v1:0", Usage(10, 10), entry=REGIONAL.format("sonnet-4-20250514"), i=[(10, "3")], o=[(10, "15")]),
    row("bedrock, a model's ARN", "aws.bedrock", "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0", Usage(10, 10), entry=REGIONAL.format("haiku-4-5-20251001"), i=[(10, "1.10")], o=[(10, "5.50")]),
    row("bedrock, global", BEDROCK, "global.anthropic.claude-haiku-4-5-20251001-v1:0", Usage(10, 10), i=[(10, "1")], o=[(10, "5")]),
    row("bedrock, +10 % in a region", BEDROCK, "jp.anthropic.claude-sonnet-4-5-20250929-v1:0", Usage(100, 10, 20, 30), entry=REGIONAL.format("sonnet-4-5-20250929"), i=[(50, "3.30")], r=[(20, "0.33")], w=[(30, "4.125")], o=[(10, "16.50")]),
    row("nova", "bedrock", "amazon.nova-lite-v1:0", Usage(10, 10, 4), i=[(6, "0.06")], r=[(4, "0.015")], o=[(10, "0.24")]),
    row("bedrock, private endpoint", "aws.bedrock@vpce-1.bedrock-runtime.eu-central-1.vpce.amazonaws.com", "meta.llama3-3-70b-instruct-v1:0", Usage(10, 10), i=[(10, "0.72")], o=[(10, "0.72")]),
    row("azure deployment", AZURE, "my-deployment", Usage(10, 10), response_model="gpt-4o-2024-08-06", entry="gpt-4o", i=[(10, "2.50")], o=[(10, "10")]),
    row("azure, inference", "azure.ai.inference@acme.services.ai.azure.com", "gpt-4o", Usage(10, 10), i=[(10, "2.50")], o=[(10, "10")]),
    row("gemini", "gcp.gemini@generativelanguage.googleapis.com", "models/gemini-2.0-flash", Usage(10, 10, 4), entry="gemini-2.0-flash", i=[(6, "0.10")], r=[(4, "0.025")], o=[(10, "0.40")]),
    row("gemini 200,000", "gcp.gen_ai", "gemini-2.5-pro", Usage(200_000, 1 * K), i=[(200_000, "1.25")], o=[(1 * K, "10")]),
    row("gemini 200,001", "gcp.gen_ai", "gemini-2.5-pro", Usage(200_001, 1 * K), i=[(200_001, "2.50")], o=[(1 * K, "15")]),
    row("gemini batch", "gcp.gemini", "gemini-2.5-pro", Usage(200_001, 1 * K), service_tier="batch", i=[(200_001, "1.25")], o=[(1 * K, "7.50")]),
    row("gemini audio", "gcp.gemini", "gemini-2.5-flash", Usage(100, 10, None, None, None, 70), i=[(30, "0.30"), (70, "1")], o=[(10, "2.50")]),
    row("a picture that was counted", "gcp.gemini", "gemini-2.5-flash-image", Usage(100, 1_300, image_output_tokens=1_290), i=[(100, "0.30")], o=[(10, "2.50"), (1_290, "30")]),
    row("vertex path", "gcp.vertex_ai@us-central1-aiplatform.googleapis.com", "projects/p/locations/us-central1/publishers/google/models/gemini-2.5-flash", Usage(10, 10), entry="gemini-2.5-flash", i=[(10, "0.30")], o=[(10, "2.50")]),
    row("claude on vertex", "gcp.vertex_ai", "claude-sonnet-4@20250514", Usage(100, 10, 20, 30), entry="claude-4-sonnet", i=[(50, "3")], r=[(20, "0.30")], w=[(30, "3.75")], o=[(10, "15")]),
    row("a sibling is priced, and named", "gcp.gemini", "gemini-3.8-flash-cyber", Usage(10, 10), entry="gemini-3.8-flash", i=[(10, "0.75")], o=[(10, "3.75")]),
]  # fmt: skip

OTHER_ROWS = [
    row("mistral alias", "mistral_ai@api.mistral.ai", "mistral-large-latest", Usage(10, 10), entry="mistral-large", i=[(10, "2")], o=[(10, "6")]),
    row("mistral batch", "mistral_ai", "mistral-small-latest", Usage(10, 10), service_tier="batch", i=[(10, "0.075")], o=[(10, "0.30")]),
    row("mistral embedding", "mistral_ai", "mistral-embed", Usage(10), i=[(10, "0.10")]),
    row("groq", "groq@api.groq.com", "llama-3.3-70b-versatile", Usage(10, 10), i=[(10, "0.59")], o=[(10, "0.79")]),
    row("groq's flex costs the same", "groq@api.groq.com", "openai/gpt-oss-120b", Usage(10, 10, 6), service_tier="flex", i=[(4, "0.15")], r=[(6, "0.075")], o=[(10, "0.60")]),
    row("grok", "x_ai@api.x.ai", "grok-4", Usage(10, 10, 6), entry="grok-4-0709", i=[(4, "3")], r=[(6, "0.75")], o=[(10, "15")]),
    row("deepseek by day", "deepseek@api.deepseek.com", "deepseek-chat", Usage(10, 10, 6), when=at(2026, 11, 22, 0, 30), i=[(4, "0.27")], r=[(6, "0.07")], o=[(10, "1.10")]),
    row("deepseek by night", "deepseek@api.deepseek.com", "deepseek-chat", Usage(10, 10, 6), when=at(2026, 11, 22, 16, 30), i=[(4, "0.135")], r=[(6, "0.035")], o=[(10, "0.55")]),
    row("deepseek after midnight", "deepseek", "deepseek-reasoner", Usage(10, 10), when=at(2026, 11, 22, 0, 29, 59), i=[(10, "0.135")], o=[(10, "0.55")]),
    row("cohere", "cohere@api.cohere.com", "command-r-plus", Usage(10, 10), i=[(10, "2.50")], o=[(10, "10")]),
    row("a fee per request", "perplexity@api.perplexity.ai", "sonar", Usage(10, 10), conditions={"search_context_size": "high"}, i=[(10, "1")], o=[(10, "1")], fee="0.012"),
    row("reasoning has its own rate", "perplexity", "sonar-deep-research", Usage(10, 100, None, None, 60), i=[(10, "2")], o=[(40, "8"), (60, "3")]),
    row("kimi", "moonshot_ai@api.moonshot.ai", "kimi-k2-0905-preview", Usage(10, 10, 6), i=[(4, "0.60")], r=[(6, "0.15")], o=[(10, "2.50")]),
    row("voyage", "voyageai", "voyage-3.5", Usage(10), i=[(10, "0.06")]),
    row("cloudflare", "cloudflare@api.cloudflare.com", "@cf/meta/llama-3.1-8b-instruct", Usage(10, 10), i=[(10, "0.282")], o=[(10, "0.827")]),
    row("together", "together@api.together.ai", "meta-llama/Llama-3.3-70B-Instruct-Turbo", Usage(10, 10), i=[(10, "0.88")], o=[(10, "0.88")]),
    row("the host bills, not the client", "openai@openrouter.ai", "anthropic/claude-sonnet-4", Usage(100, 10, 20, 30), i=[(50, "3")], r=[(20, "0.30")], w=[(30, "3.75")], o=[(10, "15")]),
    row("truly free", "openrouter", "meta-llama/llama-3.3-70b-instruct:free", Usage(10, 10, 5), i=[(5, "0")], o=[(10, "0")]),
    row("litellm names the provider", "litellm", "openai/gpt-4o", Usage(10, 10), entry="gpt-4o", i=[(10, "2.50")], o=[(10, "10")]),
    row("cache read without a rate", "cohere", "command-r-plus", Usage(10, 10, 6, 2), i=[(2, "2.50")], r=[(6, "2.50")], w=[(2, "2.50")], o=[(10, "10")]),
]  # fmt: skip


def own(name: str, who: str, model: str, usage: Usage, **rest: object) -> Golden:
    return row(name, who, model, usage, source="price_book", **rest)


BOOK_ROWS = [
    own("a local model", "openai@127.0.0.1", "llama-3.3-8b", Usage(10, 10), entry="llama-3.3-*", i=[(10, "0.10")], o=[(10, "0.30")]),
    own("narrower: the name and the host", "vllm@a.gpu.example", "llama-3.3-70b", Usage(10, 10), i=[(10, "0.20")], o=[(10, "0.60")]),
    own("that host only", "vllm@b.example", "llama-3.3-70b", Usage(10, 10), entry="llama-3.3-*", i=[(10, "0.10")], o=[(10, "0.30")]),
    own("the price that names the host", "x@a.gpu.example", "hosted", Usage(10, 10), i=[(10, "2")], o=[(10, "2")]),
    own("the price that names the provider", AZURE, "hosted", Usage(10, 10), i=[(10, "3")], o=[(10, "3")]),
    own("the price that names neither", OPENAI, "hosted", Usage(10, 10), i=[(10, "1")], o=[(10, "1")]),
    own("reasoning beside speech", "x", "talker", Usage(0, 10, None, None, 4, None, 6), o=[(4, "7"), (6, "9")]),
    own("an alias of an own price", "x@a.gpu.example", "house", Usage(10, 10), entry="llama-3.3-70b", i=[(10, "0.20")], o=[(10, "0.60")]),
    own("the contract before the list", AZURE, "d", Usage(10, 10), response_model="gpt-4o-mini", entry="gpt-4o-mini", i=[(10, "0.12")], o=[(10, "0.48")]),
    own("the contract's batch", AZURE, "gpt-4o-mini", Usage(10, 10), service_tier="batch", i=[(10, "0")], o=[(10, "0.24")]),
    own("before the first day", "x", "dated", Usage(10, 10), when=at(2026, 2, 28, 23, 59), i=[(10, "1")], o=[(10, "2")]),
    own("on the first day", "x", "dated", Usage(10, 10), when=at(2026, 3, 1), i=[(10, "3")], o=[(10, "4")]),
    own("the newest in force", "x", "dated", Usage(10, 10), i=[(10, "5")], o=[(10, "6")]),
    own("a declared 0", "x@localhost", "free-one", Usage(10, 10, 4), entry="free-*", i=[(6, "0")], o=[(10, "0")]),
    own("a declared fee", "x", "fee", Usage(10, 10), i=[(10, "1")], o=[(10, "1")], fee="0.005"),
    own("below the first step", "x", "stepped", Usage(1_000, 10, 100), i=[(900, "1")], r=[(100, "0.1")], o=[(10, "2")]),
    own("above the first", "x", "stepped", Usage(1_001, 10, 100), i=[(901, "10")], r=[(100, "0.1")], o=[(10, "2")]),
    own("above the second", "x", "stepped", Usage(2_001, 10, 100), i=[(1_901, "10")], r=[(100, "4")], o=[(10, "30")]),
    own("reasoning", "x", "thinker", Usage(10, 10, None, None, 4), i=[(10, "1")], o=[(6, "2"), (4, "7")]),
    own("writes", "x", "writer", Usage(10, 0, 2, 6, cache_write_1h_input_tokens=1), i=[(2, "1")], r=[(2, "1")], w=[(5, "1.25"), (1, "2")]),
    own("images", "x", "seer", Usage(10, 10, image_input_tokens=4, image_output_tokens=9), i=[(6, "1"), (4, "5")], o=[(1, "2"), (9, "40")]),
    own("to the last digit", "x", "tiny", Usage(999_999_999_999, 987_654_321), i=[(999_999_999_999, "0.000000000001")], o=[(987_654_321, "0.123456789012345678")]),
    row("an alias of a list price", OPENAI, "prod-chat", Usage(10, 10), response_model="prod-chat-v7", entry="gpt-4o", i=[(10, "2.50")], o=[(10, "10")]),
    row("a gateway and who bills it", "openai@llm.corp.example", "gpt-4o", Usage(10, 10), i=[(10, "2.50")], o=[(10, "10")]),
    row("a gateway to azure", "openai@eu.gateway.example", "x", Usage(10, 10), response_model="gpt-4o", entry="gpt-4o", i=[(10, "2.50")], o=[(10, "10")]),
    row("the contract is azure's only", OPENAI, "gpt-4o-mini", Usage(10, 10), i=[(10, "0.15")], o=[(10, "0.60")]),
    row("a tier the contract does not name", OPENAI, "gpt-4o", Usage(10, 10), service_tier="priority", i=[(10, "4.25")], o=[(10, "17")]),
]  # fmt: skip

LIST_ROWS = OPENAI_ROWS + ANTHROPIC_ROWS + CLOUD_ROWS + OTHER_ROWS

# Calls that must have no cost, by reason.

GPT = Call(
    provider="openai", host="api.openai.com", request_model="gpt-4o", usage=Usage(10, 10), started_at=NOW
)
LOCAL = (
    "127.0.0.1", "localhost", "10.0.0.7", "192.168.1.5", "172.20.3.4", "::1", "[fd00::1]", "0.0.0.0", "vllm", "LOCALHOST",
    "vllm.prod.svc.cluster.local", "gpu.lan", "llm.example.com", "8.8.8.8", "api.openai.com.example.org",
    "notapi.openai.com", "eu.api.openai.com",
)  # fmt: skip


def azure(**given: object) -> Call:
    return replace(GPT, provider="azure.ai.openai", host="a.openai.azure.com", **given)


def bedrock(resource: str) -> Call:
    return replace(
        GPT, provider="aws.bedrock", host=None, request_model=f"arn:aws:bedrock:us-east-1:1:{resource}"
    )


def google(model: str, **given: object) -> Call:
    return replace(GPT, provider="gcp.gemini", host=None, request_model=model, **given)


UNPRICED = {
    "unknown_model": [
        replace(GPT, request_model="gpt-99"),
        replace(GPT, request_model=None),
        replace(GPT, response_model="gpt-99-2027-01-01"),
        replace(GPT, request_model="gpt-4", response_model="gpt-4-titan"),
        replace(GPT, host="openrouter.ai", request_model="openrouter/auto", response_model="acme/new-1"),
        azure(request_model="my-deployment"),
        bedrock("application-inference-profile/x1"),
        bedrock("custom-model/anthropic.claude-3-haiku-20240307-v1:0"),
        google("projects/p/locations/l/endpoints/123"),
        google("projects/p/locations/l/models/gemini-2.0-flash"),
        google("tunedModels/gemini-2.0-flash-x"),
    ],
    "unknown_provider": [
        replace(GPT, provider=None, host=None),
        replace(GPT, provider="ibm.watsonx.ai", host=None),
        replace(GPT, provider="my-openai-compatible", host=None),
        replace(GPT, provider="vllm", host="models.example.com"),
        replace(GPT, provider="vllm", host="8.8.8.8"),
        replace(GPT, provider="litellm", host=None),
    ],
    "local_endpoint": [
        replace(GPT, provider="ollama", host="localhost"),
        replace(GPT, provider=None, host="127.0.0.1"),
        *(replace(GPT, host=host) for host in LOCAL),
    ],
    "no_usage": [
        replace(GPT, usage=None),
        replace(GPT, usage=Usage()),
        replace(GPT, usage=Usage(0, 0)),
        replace(GPT, usage=Usage(10, None)),
        replace(GPT, usage=Usage(None, 10)),
    ],
    "no_rate": [
        replace(GPT, request_model="gpt-4o-audio-preview", usage=Usage(10, 10, audio_input_tokens=5)),
        replace(GPT, request_model="gpt-4o-audio-preview", usage=Usage(10, 10, audio_output_tokens=5)),
        replace(GPT, provider="github-copilot", host="api.githubcopilot.com"),
        google("gemma-3-27b-it"),
        google("gemini-2.5-flash-image"),
        google("gemini-omni-flash-preview"),
        replace(GPT, usage=Usage(10, 10, image_output_tokens=3)),
        replace(GPT, request_model="text-embedding-3-small"),
        replace(GPT, request_model="whisper-1"),
        replace(GPT, service_tier="scale"),
        replace(GPT, request_model="gpt-4.1-nano", service_tier="flex"),
        azure(service_tier="priority"),
        azure(service_tier="batch"),
    ],
    "invalid_usage": [
        replace(GPT, usage=Usage(10, 10, 11)),
        replace(GPT, usage=Usage(10, 10, 6, 6)),
        replace(GPT, usage=Usage(0, 0, 5)),
        replace(GPT, usage=Usage(-1, 10)),
        replace(GPT, usage=Usage(10, 10, reasoning_output_tokens=11)),
        replace(GPT, usage=Usage(10, 10, audio_input_tokens=11)),
        replace(GPT, usage=Usage(10, 10, audio_output_tokens=11)),
        replace(GPT, usage=Usage(True, 10)),
        replace(GPT, usage=Usage(1.5, 10)),
        replace(GPT, usage=Usage(10**15, 10)),
        replace(GPT, usage=Usage(10, 10, cache_write_1h_input_tokens=1)),
        google("gemini-2.5-flash", usage=Usage(10, 1, 4, audio_input_tokens=5)),
    ],
}
