"""What the arguments of the decorators mean, and their signatures, for `help()` and for completion."""

import dataclasses
import inspect
import textwrap

from otel_callbacks.manual.operation_fields import fields_of
from otel_callbacks.operations import Operation

_FRAME = """
Use `@{word}` or `@{word}({example})` on a function, method or generator function, synchronous or asynchronous, and
`with {word}({example}) as span:` around any code. Arguments of a decorated function are read by the names of the
parameters below, and its result as in `OperationSpan.result`. A generator's operation starts when its first item is
requested and ends with the generator. What is content is recorded only if the content policy allows it.
"""

_MEANINGS = {
    "conversation_id": "the conversation or session.",
    "agent_name": "the agent that this is done for; by default that of the agent around it.",
    "input_messages": "the messages that went in, in any provider's form; content.",
    "output_messages": "the messages that came out, in any provider's form; content.",
    "system_instructions": "what the model is told before the conversation; content.",
    "tool_definitions": "the tools that the model may call; content.",
    "description": "what it is good for.",
    "finish_reasons": "why the model stopped, one for each answer.",
    "node": "the node of a graph.",
    "step": "the number of the step in its graph.",
    "path": "the path of the node in its graph.",
    "checkpoint_ns": "the namespace of the checkpoint.",
    "in_search": "True if the step finds documents or rewrites the question for that.",
    "type": 'the type of the tool, such as "function" or "extension".',
    "call_id": "the id of the call that the model made.",
    "arguments": "what the tool is called with; content.",
    "result": "what the tool returned; content.",
    "result_size": "the characters of the result.",
    "provider": 'the provider or store, such as "openai" or "pinecone".',
    "top_k": "how many documents, or of how many tokens the model chooses.",
    "server_address": "the host of the server.",
    "server_port": "the port of the server.",
    "embedding_model": "the model that embeds the query.",
    "query": "what is searched for; content.",
    "documents": "the documents found or kept: texts, mappings or a framework's objects; their texts are content.",
    "unread_documents": "how many more there are than `documents` has.",
    "score_kind": "what the scores of documents are.",
    "store_scores": "scores that a store computed and its retriever did not pass on.",
    "integration": "the class that makes the call, if the provider is not known.",
    "deferred": "True if the usage is on the span of another instrumentation.",
    "encoding_formats": "the formats of the vectors.",
    "response_model": "the model that answered.",
    "count": "how many texts are embedded.",
    "dimension_count": "how many numbers a vector has.",
    "usage": "the provider's usage report, a mapping or an object.",
    "cached": "True if the answer came from a cache and nothing is owed.",
    "duplicate": "True if other calls did this one and have its cost.",
    "top_n": "how many documents are kept.",
    "candidates": "the documents before; their texts are content.",
    "unread_candidates": "how many more there are than `candidates` has.",
    "may_pass_on_scores": "True if a document may keep the score that it had before.",
    "reported_usd": "the cost that the provider or a gateway reports.",
    "text_completion": "True for a completion of text instead of a chat.",
    "choice_count": "how many answers are asked for.",
    "frequency_penalty": "the parameter of this name.",
    "max_tokens": "the most tokens of an answer.",
    "presence_penalty": "the parameter of this name.",
    "previous_response_id": "the answer that this call goes on from.",
    "reasoning_level": 'how much the model shall think, such as "high".',
    "seed": "the parameter of this name.",
    "stop_sequences": "the texts at which the model stops.",
    "stream": "True if the answer comes in chunks.",
    "temperature": "the parameter of this name.",
    "top_p": "the parameter of this name.",
    "output_type": 'what is asked for: "text", "json", "image" or "speech".',
    "request_service_tier": "the service tier that is asked for.",
    "estimated_input_tokens": "stands in for a count that does not come.",
    "api_type": "which API of the provider is called.",
    "guardrail_id": "the guardrail of the call.",
    "compacted": "True if the call summarises its conversation, or is sent a summary.",
    "compaction_tokens_before": "the tokens before that.",
    "compaction_tokens_after": "the tokens after that.",
    "response_id": "the id of the answer.",
    "response_service_tier": "the service tier that answered, which decides the price.",
    "system_fingerprint": "the fingerprint that the provider reports.",
    "time_to_first_chunk": "seconds until the first chunk of a stream.",
    "prompt_template": "the name of the template, or a mapping with name, version and variables.",
}


def signature_of(kind: type[Operation]) -> inspect.Signature:
    """Returns the arguments of the decorator for a kind of operation."""
    fields = {each.name: each for each in dataclasses.fields(kind)}
    name = inspect.Parameter(
        "name", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=str | None
    )
    others = [
        inspect.Parameter(
            each, inspect.Parameter.KEYWORD_ONLY, default=fields[each].default, annotation=fields[each].type
        )
        for each in fields_of(kind)
        if each != "name"
    ]
    return inspect.Signature([name, *others])


def docstring_of(word: str, kind: type[Operation], summary: str, name: str, example: str) -> str:
    """Returns the docstring of a decorator: what it records, how it is used, and its arguments."""
    lines = [
        f"name: {name}",
        *(f"{each}: {_MEANINGS.get(each, each)}" for each in fields_of(kind) if each != "name"),
    ]
    arguments = "\n".join(
        textwrap.fill(line, 112, initial_indent="    ", subsequent_indent=" " * 8) for line in lines
    )
    return (
        f"{summary}\n{_FRAME.format(word=word, example=example)}\nArgs:\n{arguments}\n\nRaises:\n"
        "    TypeError: an argument is unknown or has the wrong type, or something else than a function is decorated.\n"
        "    ValueError: an argument has an unknown value.\n"
    )
