"""Answers in OpenAI's formats and those of the providers that imitate them, each with its own way with usage."""

from collections.abc import Iterator
from typing import Any

from wire import Answer, Json, Reply, Request, events, whole

# Where the usage of a streamed chat is, by who answers:
# "asked": OpenAI, Azure, vLLM, xAI: a chunk of its own without choices, if the client asked for it
# "after": OpenRouter: the same, always
# "last": DeepSeek, Mistral, Fireworks, Together, Perplexity: always, in the chunk that ends
# "x_groq": Groq, in the chunk that ends, under a name of its own
# "choice": Moonshot, inside the choice that ends
# "every": vLLM with continuous_usage_stats: so far, in every chunk
Place = str


def chat(
    usage: Json | None,
    *,
    model: str = "gpt-4o-2024-08-06",
    finish: str | None = "stop",
    choices: int = 1,
    place: Place = "asked",
    text: str = "four",
    cut: bool = False,
    **more: Any,
) -> Answer:
    """A chat completion; `more` stands beside the usage (`service_tier`), `cut` ends the stream in the middle."""
    head = {"id": "chatcmpl-1", "created": 1_760_000_000, "model": model, "system_fingerprint": None, **more}

    def answer(request: Request) -> Reply:
        if request.streamed:
            return events(chunks(request), done=not cut)
        said = {"role": "assistant", "content": text}
        answers = [
            {"index": n, "message": said, "logprobs": None, "finish_reason": finish} for n in range(choices)
        ]
        reported = {} if usage is None else {"usage": usage}
        return whole({**head, "object": "chat.completion", "choices": answers, **reported})

    def chunks(request: Request) -> Iterator[Json]:
        def chunk(delta: Json, ended: str | None, n: int, **extra: Any) -> Json:
            choice = {"index": n, "delta": delta, "finish_reason": ended, **extra.pop("choice", {})}
            return {**head, "object": "chat.completion.chunk", "choices": [choice], **extra}

        for n in range(choices):
            yield chunk({"role": "assistant", "content": ""}, None, n, **_so_far(usage, place, 0))
            for received, word in enumerate((text[:2], text[2:]), 1):
                yield chunk({"content": word}, None, n, **_so_far(usage, place, received))
            if cut:
                return
            yield chunk({}, finish, n, **(_last(usage, place) if n == choices - 1 else {}))
        if usage and (place == "after" or (place == "asked" and request.wants_usage)):
            yield {**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}

    return answer


def _so_far(usage: Json | None, place: Place, received: int) -> Json:
    if place != "every" or not usage:
        return {}
    sent = usage["prompt_tokens"]
    return {"usage": {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}}


def _last(usage: Json | None, place: Place) -> Json:
    """What stands beside the chunk that ends."""
    match place:
        case "last" | "every" if usage:
            return {"usage": usage}
        case "x_groq" if usage:
            return {"x_groq": {"id": "req_1", "usage": usage}}
        case "choice" if usage:
            return {"choice": {"usage": usage}}
    return {}


def responses(
    usage: Json | None,
    *,
    model: str = "gpt-4o-2024-08-06",
    incomplete: str | None = None,
    searches: int = 0,
    **more: Any,
) -> Answer:
    """OpenAI's Responses API; `incomplete` is why it stopped early, `searches` how often it searched the web."""
    status = "incomplete" if incomplete else "completed"
    text = {"type": "output_text", "text": "four", "annotations": [], "logprobs": []}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": [text]}
    found = [
        {
            "type": "web_search_call",
            "id": f"ws_{n}",
            "status": "completed",
            "action": {"type": "search", "query": "q"},
        }
        for n in range(searches)
    ]
    begun = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_760_000_000,
        "model": model,
        "error": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [{"type": "web_search"}] if searches else [],
        "top_p": 1.0,
        **more,
    }
    ended = {
        **begun,
        "status": status,
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "output": [*found, message],
        "usage": usage,
    }
    open_ = {**begun, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}

    def stream() -> Iterator[Json]:
        yield {"type": "response.created", "response": open_}
        for at, item in enumerate(found):
            yield {"type": "response.output_item.added", "output_index": at, "item": item}
            yield {"type": "response.output_item.done", "output_index": at, "item": item}
        where = {"item_id": "msg_1", "output_index": len(found), "content_index": 0}
        bare = {**message, "status": "in_progress", "content": []}
        yield {"type": "response.output_item.added", "output_index": len(found), "item": bare}
        yield {"type": "response.content_part.added", **where, "part": {**text, "text": ""}}
        yield {"type": "response.output_text.delta", **where, "delta": "four", "logprobs": []}
        yield {"type": "response.output_text.done", **where, "text": "four", "logprobs": []}
        yield {"type": "response.content_part.done", **where, "part": text}
        yield {"type": "response.output_item.done", "output_index": len(found), "item": message}
        yield {"type": f"response.{status}", "response": ended}

    def answer(request: Request) -> Reply:
        if not request.streamed:
            return whole(ended)
        return events(({**event, "sequence_number": n} for n, event in enumerate(stream())), named=True)

    return answer


def completion(
    usage: Json | None, *, model: str = "gpt-3.5-turbo-instruct", finish: str = "stop", prompts: int = 1
) -> Answer:
    """The API of models that complete text."""
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1_760_000_000, "model": model}

    def choice(n: int, text: str, ended: str | None) -> Json:
        return {"index": n, "text": text, "logprobs": None, "finish_reason": ended}

    def answer(request: Request) -> Reply:
        if not request.streamed:
            choices = [choice(n, "four", finish) for n in range(prompts)]
            return whole({**head, "choices": choices, **({"usage": usage} if usage else {})})
        sent: list[Json] = [
            {**head, "choices": [choice(0, "four", None)]},
            {**head, "choices": [choice(0, "", finish)]},
        ]
        if usage and request.wants_usage:
            sent.append({**head, "choices": [], "usage": usage})
        return events(sent, done=True)

    return answer


def embeddings(usage: Json, *, model: str = "text-embedding-3-small") -> Answer:
    def answer(request: Request) -> Reply:
        given = request.body.get("input")
        several = len(given) if isinstance(given, list) else 1
        vectors = [{"object": "embedding", "index": n, "embedding": [0.5] * 4} for n in range(several)]
        return whole({"object": "list", "model": model, "data": vectors, "usage": usage})

    return answer


def _usage(sent: str, received: str, into: str, out_of: str, given: tuple[int, int], known: Json) -> Json:
    details = {into: known.pop("into", None), out_of: known.pop("out_of", None)}
    total = known.pop("total", given[0] + given[1])
    counted = {sent: given[0], received: given[1], "total_tokens": total}
    return {**counted, **{key: value for key, value in details.items() if value is not None}, **known}


def tokens(prompt: int, completion: int, **known: Any) -> Json:
    """Usage of a chat; `into` and `out_of` are its details, `total` another total than the sum."""
    names = "prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details"
    return _usage(*names, (prompt, completion), known)


def response_tokens(sent: int, received: int, **known: Any) -> Json:
    """Usage in the Responses API, where the details always come."""
    names = "input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details"
    known = {"into": {"cached_tokens": 0}, "out_of": {"reasoning_tokens": 0}, **known}
    return _usage(*names, (sent, received), known)
