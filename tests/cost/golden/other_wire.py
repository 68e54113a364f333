"""Answers in the formats of Anthropic, Google, Amazon, Cohere and Ollama, and of rerankers."""

from collections.abc import Iterator
from typing import Any

from wire import Answer, Json, Reply, Request, aws_events, events, lines, whole


def anthropic(
    usage: Json,
    *,
    model: str = "claude-sonnet-4-5-20250929",
    stop: str = "end_turn",
    cut: bool = False,
    fail: bool = False,
) -> Answer:
    """A message. Its stream tells the input at the start and the output, with all of it again, at the end.

    With a compaction among the `iterations` of its usage it begins with the summary.
    """
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_sequence": None}
    text = {"type": "text", "text": "four"}
    searched = list(_searches((usage.get("server_tool_use") or {}).get("web_search_requests", 0)))
    if any(run["type"] == "compaction" for run in usage.get("iterations", ())):
        searched.insert(0, {"type": "compaction", "content": "so far"})

    def stream() -> Iterator[Json]:
        begun = {**usage, "output_tokens": 1}
        begun.pop("server_tool_use", None)
        yield {
            "type": "message_start",
            "message": {**head, "content": [], "stop_reason": None, "usage": begun},
        }
        for at, block in enumerate(searched):
            yield {"type": "content_block_start", "index": at, "content_block": block}
            if block["type"] == "compaction":
                delta = {"type": "compaction_delta", "content": "so far"}
                yield {"type": "content_block_delta", "index": at, "delta": delta}
            yield {"type": "content_block_stop", "index": at}
        last = len(searched)
        yield {"type": "content_block_start", "index": last, "content_block": {**text, "text": ""}}
        yield {"type": "ping"}
        for word in ("fo", "ur"):
            yield {
                "type": "content_block_delta",
                "index": last,
                "delta": {"type": "text_delta", "text": word},
            }
        if fail:
            yield {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        if cut or fail:
            return
        yield {"type": "content_block_stop", "index": last}
        counted = (
            "input_tokens",
            "output_tokens",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
            "server_tool_use",
            "iterations",
        )
        ended = {key: usage[key] for key in counted if key in usage}
        yield {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": ended}
        yield {"type": "message_stop"}

    def answer(request: Request) -> Reply:
        if request.streamed:
            return events(stream(), named=True)
        return whole({**head, "content": [*searched, text], "stop_reason": stop, "usage": usage})

    return answer


def _searches(several: int) -> Iterator[Json]:
    for n in range(several):
        asked = {
            "type": "server_tool_use",
            "id": f"srvtoolu_{n}",
            "name": "web_search",
            "input": {"query": "q"},
        }
        page = {
            "type": "web_search_result",
            "url": "https://a.example",
            "title": "a",
            "encrypted_content": "x",
        }
        yield asked
        found = [{**page, "page_age": None}]
        yield {"type": "web_search_tool_result", "tool_use_id": f"srvtoolu_{n}", "content": found}


def claude_tokens(
    sent: int, received: int, *, read: int = 0, write: int = 0, hour: int = 0, **more: Any
) -> Json:
    """Anthropic's usage: `sent` is what the cache had no part in; `write` includes the `hour` part."""
    lifetimes = {"ephemeral_5m_input_tokens": write - hour, "ephemeral_1h_input_tokens": hour}
    return {
        "input_tokens": sent,
        "cache_creation_input_tokens": write,
        "cache_read_input_tokens": read,
        "cache_creation": lifetimes,
        "output_tokens": received,
        "service_tier": "standard",
        **more,
    }


def gemini(
    usage: Json,
    *,
    model: str = "gemini-2.5-flash",
    finish: str = "STOP",
    searches: int = 0,
    maps: bool = False,
    cut: bool = False,
) -> Answer:
    """Google's format; a stream carries the usage so far in every chunk."""
    grounding: Json = {}
    if searches:
        grounding = {"groundingMetadata": {"webSearchQueries": [f"q{n}" for n in range(searches)]}}
    if maps:
        place = {"uri": "https://maps.example/1", "title": "A place", "placeId": "places/1"}
        grounding = {"groundingMetadata": {"groundingChunks": [{"maps": place}]}}

    def candidate(text: str, ended: str | None) -> Json:
        reason = {"finishReason": ended, **grounding} if ended else {}
        return {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **reason}

    def chunk(text: str, ended: str | None, counted: Json) -> Json:
        head = {"modelVersion": model, "responseId": "r1"}
        return {"candidates": [candidate(text, ended)], "usageMetadata": counted, **head}

    def answer(request: Request) -> Reply:
        if not request.streamed:
            return whole(chunk("four", finish, usage))
        sent = usage.get("promptTokenCount", 0)
        sofar = {"promptTokenCount": sent, "candidatesTokenCount": 1, "totalTokenCount": sent + 1}
        return events([chunk("fo", None, sofar)] + ([] if cut else [chunk("ur", finish, usage)]))

    return answer


def gemini_tokens(
    prompt: int, candidates: int, *, thoughts: int = 0, tools: int = 0, cached: int = 0, **more: Any
) -> Json:
    """Google's usage: thoughts and tool results stand beside the rest and are in the total."""
    counted = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": candidates,
        "totalTokenCount": prompt + candidates + thoughts + tools,
        "thoughtsTokenCount": thoughts,
        "toolUsePromptTokenCount": tools,
        "cachedContentTokenCount": cached,
    }
    return {**{key: count for key, count in counted.items() if count}, **more}


def modalities(**counts: int) -> list[Json]:
    return [{"modality": kind.upper(), "tokenCount": count} for kind, count in counts.items()]


def bedrock(usage: Json, *, stop: str = "end_turn", **more: Any) -> Answer:
    """Bedrock's Converse; `more` stands beside the usage (`serviceTier`)."""
    told = {"usage": usage, "metrics": {"latencyMs": 1}, **more}

    def stream() -> Iterator[tuple[str, Json]]:
        yield "messageStart", {"role": "assistant"}
        for word in ("fo", "ur"):
            yield "contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}}
        yield "contentBlockStop", {"contentBlockIndex": 0}
        yield "messageStop", {"stopReason": stop}
        yield "metadata", told

    def answer(request: Request) -> Reply:
        if request.streamed:
            return aws_events(stream())
        message = {"role": "assistant", "content": [{"text": "four"}]}
        return whole({"output": {"message": message}, "stopReason": stop, **told})

    return answer


def converse_tokens(sent: int, received: int, *, read: int = 0, write: int = 0, hour: int = 0) -> Json:
    """Bedrock's usage: the cache is beside the input and in the total."""
    counted: Json = {
        "inputTokens": sent,
        "outputTokens": received,
        "totalTokens": sent + received + read + write,
    }
    if read or write:
        counted |= {"cacheReadInputTokens": read, "cacheWriteInputTokens": write}
    if write:
        parts = {"5m": write - hour, "1h": hour}
        counted["cacheDetails"] = [{"ttl": ttl, "inputTokens": n} for ttl, n in parts.items() if n]
    return counted


def cohere(
    billed: tuple[int, int], counted: tuple[int, int], *, finish: str = "COMPLETE", cached: int = 0
) -> Answer:
    """Cohere's v2 and v1 chat; what is billed leaves out the preamble and what Cohere adds to the prompt."""
    bill = {"input_tokens": billed[0], "output_tokens": billed[1]}
    tokens = {"input_tokens": counted[0], "output_tokens": counted[1]}
    usage: Json = {"billed_units": bill, "tokens": tokens, **({"cached_tokens": cached} if cached else {})}

    def second(request: Request) -> Reply:
        text = {"type": "text", "text": "four"}
        if not request.streamed:
            message = {"role": "assistant", "content": [text]}
            return whole({"id": "c1", "finish_reason": finish, "message": message, "usage": usage})
        part = {"message": {"content": {"type": "text", "text": ""}}}
        return events(
            [
                {"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant"}}},
                {"type": "content-start", "index": 0, "delta": part},
                {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "four"}}}},
                {"type": "content-end", "index": 0},
                {"type": "message-end", "delta": {"finish_reason": finish, "usage": usage}},
            ],
            named=True,
        )

    def first(request: Request) -> Reply:
        whole_answer = {
            "response_id": "r1",
            "generation_id": "g1",
            "text": "four",
            "chat_history": [],
            "finish_reason": finish,
            "meta": {"api_version": {"version": "1"}, **usage},
        }
        if not request.streamed:
            return whole(whole_answer)
        return lines(
            [
                {"event_type": "stream-start", "is_finished": False, "generation_id": "g1"},
                {"event_type": "text-generation", "is_finished": False, "text": "four"},
                {
                    "event_type": "stream-end",
                    "is_finished": True,
                    "finish_reason": finish,
                    "response": whole_answer,
                },
            ]
        )

    return lambda request: second(request) if "/v2/" in request.url else first(request)


def ollama(prompt: int, received: int, *, model: str = "llama3.2", done: str = "stop") -> Answer:
    def answer(request: Request) -> Reply:
        head = {"model": model, "created_at": "2026-11-29T10:00:00.000000Z"}
        ended = {
            "done": True,
            "done_reason": done,
            "total_duration": 9,
            "prompt_eval_count": prompt,
            "eval_count": received,
        }
        said = {"role": "assistant", "content": "four"}
        if not request.body.get("stream"):
            return whole({**head, "message": said, **ended})
        empty = {"role": "assistant", "content": ""}
        return lines([{**head, "message": said, "done": False}, {**head, "message": empty, **ended}])

    return answer


def cohere_rerank(search_units: int = 1) -> Answer:
    def answer(request: Request) -> Reply:
        found = [{"index": n, "relevance_score": 0.9} for n in range(request.body.get("top_n", 1))]
        meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": search_units}}
        return whole({"id": "r1", "results": found, "meta": meta})

    return answer


def token_rerank(total: int, *, model: str, key: str = "results") -> Answer:
    """Jina's (`results`) and Voyage's (`data`) rerankers, which bill tokens."""
    found = [{"index": 0, "relevance_score": 0.9, "document": {"text": "a"}}]
    return lambda _: whole({"object": "list", "model": model, key: found, "usage": {"total_tokens": total}})
