"""Builds traces from short descriptions, and holds three realistic ones."""

from otel_callbacks.explore import SpanRecord, Trace

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
OPERATIONS = ("chat", "embeddings", "rerank", "retrieval", "execute_tool", "invoke_agent", "invoke_workflow")


def span(depth, name, start, duration, error=None, **attributes):
    """Describes one span, whose parent is the last one of smaller depth; times are in milliseconds."""
    return depth, name, start, duration, error, attributes


def tree(*described):
    records, path = [], []
    for number, (depth, name, start, duration, error, attributes) in enumerate(described):
        path[depth:] = [f"{number:016x}"]
        found = {key.replace("__", "."): value for key, value in attributes.items()}
        if (operation := name.split()[0]) in OPERATIONS:
            found["gen_ai.operation.name"] = operation
        if error:
            found["error.type"] = error.partition(": ")[0]
        records.append(
            SpanRecord(
                trace_id=TRACE_ID,
                span_id=path[depth],
                parent_id=path[depth - 1] if depth else None,
                name=name,
                kind="INTERNAL",
                start_ns=int(start * 1e6),
                end_ns=int((start + duration) * 1e6),
                attributes=found,
                status="ERROR" if error else "UNSET",
                status_message=error or "",
            )
        )
    return Trace.of(records)


def usage(tokens_in, tokens_out=None, cost=None, cached=0, end="stop", **more):
    found = {"gen_ai.usage.input_tokens": tokens_in, "gen_ai.response.finish_reasons": (end,), **more}
    found["otel_callbacks.cost.status"] = "unpriced" if cost is None else "priced"
    optional = {
        "gen_ai.usage.output_tokens": tokens_out,
        "gen_ai.usage.cost_usd": cost,
        "gen_ai.usage.cache_read.input_tokens": cached or None,
    }
    return found | {name: value for name, value in optional.items() if value is not None}


def found(count, best):
    return {"rag.results_count": count, "rag.top_score": best}


RAG = tree(
    span(0, "invoke_workflow rag", 0, 1420),
    span(1, "retrieval product-docs", 2, 43, **found(20, 0.8312)),
    span(2, "embeddings text-embedding-3-small", 3, 31, **usage(12, cost=2.4e-7)),
    span(
        *(1, "rerank bge-reranker-v2-m3", 46, 88),
        **{"rag.candidate_count": 20, "rag.reranked_count": 4, "rag.top_score": 0.9731},
    ),
    span(1, "format_docs", 135, 0.4),
    span(
        *(1, "chat gpt-4o", 137, 1282),
        **usage(2184, 126, 0.0054, cached=1024),
        gen_ai__response__time_to_first_chunk=0.18,
    ),
)

AGENT = tree(
    span(0, "invoke_agent support", 0, 6210, **usage(5768, 242)),
    span(1, "model", 0, 1200),
    span(2, "chat gpt-4o", 1, 1180, **usage(812, 41, 0.0024, end="tool_calls")),
    span(1, "tools", 1210, 40),
    span(2, "execute_tool lookup_order", 1212, 31),
    span(1, "model", 1260, 1230),
    span(2, "chat gpt-4o", 1261, 1217, **usage(1232, 54, 0.0034, cached=768, end="tool_calls")),
    span(1, "tools", 2500, 220, error="ValueError"),
    span(2, "execute_tool lookup_order", 2502, 210, error="ValueError: order 'A-1002' not\n found"),
    span(1, "model", 2740, 1260),
    span(2, "chat gpt-4o", 2741, 1254, **usage(1652, 67, 0.0044, cached=768, end="tool_calls")),
    span(1, "tools", 4010, 130),
    span(2, "execute_tool refund", 4012, 120),
    span(2, "execute_tool lookup_order", 4013, 31),
    span(1, "model", 4150, 2050),
    span(2, "chat gpt-4o", 4151, 2044, **usage(2072, 80, 0.0054, cached=768)),
)

SUPERVISOR = tree(
    span(0, "invoke_workflow report", 0, 21400),
    span(1, "invoke_agent supervisor", 1, 21390, **usage(2200, 120)),
    span(2, "chat gpt-4o", 3, 910, **usage(640, 28, 0.0019, end="tool_calls")),
    span(2, "execute_tool transfer_to_researcher", 915, 9000),
    span(3, "invoke_agent researcher", 917, 8990),
    span(4, "chat claude-sonnet-4-5", 920, 1890, **usage(1502, 211, 0.0077, end="tool_use")),
    *(span(4, "execute_tool web_search", 2820 + 400 * n, 380) for n in range(12)),
    span(4, "execute_tool web_search", 7900, 402, error="httpx.ReadTimeout: timed out"),
    span(4, "chat claude-sonnet-4-5", 8310, 1590, **usage(14203, 842, 0.0552, cached=1400)),
    span(2, "invoke_agent writer", 9950, 10900),
    span(
        *(3, "chat acme-7b", 9955, 10890),
        **usage(4120, 1830, end="length"),
        otel_callbacks__cost__unpriced_reason="unknown_model",
    ),
    span(2, "chat gpt-4o", 20900, 480, **usage(1420, 64, 0.0042), otel_callbacks__outcome="abandoned"),
)
