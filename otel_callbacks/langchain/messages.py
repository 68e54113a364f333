"""Translates LangChain's messages into the conventions' form."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.outputs import Generation

from otel_callbacks.limits import ITEMS_READ, MESSAGE_BLOCKS_READ, MESSAGE_TOOL_CALLS_READ, first
from otel_callbacks.operations import (
    Data,
    Message,
    Part,
    Text,
    ToolCallResponse,
    first_and_newest,
    providers,
)
from otel_callbacks.operations.payload import (
    attribute,
    is_a,
    is_list,
    items,
    mapping,
    mapping_or_fields,
    text,
    word,
)
from otel_callbacks.rag.prompt_weights import weight
from otel_callbacks.rag.weighed_prompt import MessageForm
from otel_callbacks.runs.run import Run
from otel_callbacks.runs.sent_messages import sent_messages_of
from otel_callbacks.runtime.faults import guarded

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "HumanMessageChunk": "user",
    "SystemMessageChunk": "system",
    "ToolMessageChunk": "tool",
}
_KEY_FIELDS = ("content", "tool_calls", "tool_call_id")
_CALLS = ("tool_calls", "invalid_tool_calls")
_BESIDE_CONTENT = frozenset(
    (
        *("function_call", "tool_outputs", "executed_tools", "audio"),
        *("reasoning_content", "reasoning", "refusal"),
    )
)
"""Where a message may have parts beside its content and `_CALLS`; few have any of these."""
_SHORT_ROLES = {"user", "assistant", "system", "developer", "tool", "function"}
_SOUNDING = ("audio", "video")
_SOUND_URLS = ("data:audio/", "data:video/")


def conversation(chat: Any, run: Run) -> list[Message]:
    """Returns the messages of a chat, as many as `run` records: of a long chat the first and the newest ones."""
    sent = sent_messages_of(run)
    read = _message if sent is None else sent.once(_message)
    return first_and_newest(items(chat), read, run.content_policy.max_messages)


def prompts(texts: Any) -> list[Message]:
    """Returns the prompts of a text model, each as a user's message."""
    return [
        Message("user", (Text(found),)) for prompt in items(texts)[:ITEMS_READ] if (found := text(prompt))
    ]


def text_in(message: Any) -> str:
    """Returns the text in a message."""
    content = attribute(message, "content") if is_a(message, BaseMessage) else message
    if type(content) is str:  # nearly always
        return content
    return text(content) or "\n".join(filter(None, map(_block_text, items(content)[:ITEMS_READ])))


def _block_text(block: Any) -> str | None:
    return text(block) or text(mapping(block).get("text"))


def has_sound(chat: Any) -> bool:
    """Tells whether there is sound, or a video, in the messages of a chat."""
    return any(map(_has_sound, items(chat)[-ITEMS_READ:]))


def _has_sound(message: Any) -> bool:
    content = attribute(message, "content")
    if type(content) is not list:  # nearly all messages are plain text
        return False
    return any(map(_is_sound, first(content, MESSAGE_BLOCKS_READ, "blocks of a message")))


def _is_sound(block: Any) -> bool:
    """Tells whether a block is sound or a video, by its type or media type."""
    known = mapping(block)
    mime_type = word(known.get("mime_type")) or word(known.get("media_type")) or ""
    url = mapping(known.get("image_url")).get("url")
    if type(url) is str and url.startswith(_SOUND_URLS):  # Google takes any medium for an image
        return True
    return providers.modality_of(word(known.get("type")) or "", mime_type) in _SOUNDING


def _key(message: BaseMessage) -> int:
    """Returns a key that is the same when a message is sent again: a hash of its type, text and tool call ids."""
    known = attribute(message, "__dict__")
    if type(known) is not dict:
        known = mapping(known)
    content, calls, call_id = map(known.get, _KEY_FIELDS)
    if type(content) is not str:
        content = text(content) or tuple(map(_block_key, items(content)[:MESSAGE_BLOCKS_READ]))
    called = tuple(map(_call_key, items(calls)[:MESSAGE_TOOL_CALLS_READ])) if calls else None
    return hash((type(message), content, called, None if call_id is None else text(call_id)))


def _call_key(call: Any) -> Hashable:
    known = mapping(call)
    if identity := text(known.get("id")):
        return identity
    read = providers.tool_call(known)
    return read.name, weight(read.arguments)


def _block_key(block: Any) -> Hashable:
    return text(block) or tuple(found for value in mapping(block).values() if (found := text(value)))


def answer(choice: Generation, finish_reason: str | None) -> Message:
    """Returns a model's answer as a message, with the finish reason in the conventions' words."""
    reason = providers.message_finish_reason(finish_reason)
    message = attribute(choice, "message")
    if is_a(message, BaseMessage):
        known = _fields(message)
        return Message("assistant", _parts(known), word(known.get("name")), reason)
    return Message("assistant", (Text(text(attribute(choice, "text")) or ""),), finish_reason=reason)


@guarded  # an unreadable state must not keep the span from ending
def state_messages(
    value: Any, role: str, read: Callable[[Any], Message | None] | None = None
) -> list[Message] | None:
    """Returns the input or output of a chain or graph as messages; None if it is empty.

    A value without messages becomes one message by `role`.
    """
    held = value if is_a(value, BaseMessage) else mapping(value).get("messages")
    chat = items(held) if is_list(held) else [held]
    if chat and all(_fields(message) for message in chat[-ITEMS_READ:]):
        return first_and_newest(chat, read or _message) or None
    if is_a(value, str):
        return [Message(role, (Text(found),))] if (found := text(value)) else None
    return None if value is None or _is_empty_input(value) else [Message(role, (Data(value),))]


def _is_empty_input(value: Any) -> bool:
    """Tells whether this is the placeholder that LangChain passes when a stream starts before its input is known."""
    return type(value) is dict and len(value) == 1 and type(found := value.get("input")) is str and not found


def result_messages(value: Any) -> list[Message] | None:
    """Returns the output of a chain or graph as messages; of a state, the messages after the user's last one."""
    found = state_messages(value, "assistant", _output_message) or []
    last_user = max((at for at, message in enumerate(found) if message.role == "user"), default=-1)
    return found[last_user + 1 :] or None


def agent_answer(value: Any) -> list[Message] | None:
    """Returns the answer in the final state of an agent: its last message, or the object that it was to fill in.

    A tool may answer in the agent's place (`return_direct`).
    """
    found = result_messages(value)
    if not found or found[-1].role != "tool":
        return found and found[-1:]
    structured = mapping(value).get("structured_response")
    answer = next((part.response for part in found[-1].parts if isinstance(part, ToolCallResponse)), None)
    told = answer if structured is None else structured
    return [Message("assistant", (Text(told) if isinstance(told, str) else Data(told),))]


def _fields(message: Any) -> Mapping[str, Any]:
    """Returns the fields of a message, also of LangChain's short forms: a text, a (role, content) pair, a mapping.

    LangChain's own conversion is not used, because it may iterate over the content and so consume it.
    """
    if is_a(message, BaseMessage):
        return mapping_or_fields(message)
    if is_a(message, str):
        return {"role": "user", "content": message}
    if is_list(message):
        pair = items(message)
        known: Mapping[str, Any] = {"role": pair[0], "content": pair[1]} if len(pair) == 2 else {}
    else:
        known = mapping(message)
    return known if "content" in known and _role(known) in _SHORT_ROLES else {}


def _role(known: Mapping[str, Any]) -> str:
    role = word(known.get("role")) or word(known.get("type")) or "unknown"
    return _ROLES.get(role, role)


def _message(message: Any) -> Message | None:
    known = _fields(message)
    if not known:
        return None
    role, name, content = _role(known), word(known.get("name")), known.get("content")
    if role == "tool":
        call_id = word(known.get("tool_call_id"))
        if type(content) is str:  # nearly always
            return Message(role, (ToolCallResponse(content, call_id),), name)
        return Message(role, (providers.tool_response(content, call_id),), name)
    return Message(role, _parts(known), name)


def _output_message(message: Any) -> Message | None:
    read, details = _message(message), mapping(_fields(message).get("response_metadata"))
    reasons = providers.finish_reasons_in([details])
    if read is None or not reasons:
        return read
    return replace(read, finish_reason=providers.message_finish_reason(reasons[0]))


def _message_or_empty(message: Any) -> Message:
    return _message(message) or Message("unknown", ())


FORM = MessageForm("content", _key, _message_or_empty)
"""How an agent's messages are read."""


def _parts(known: Mapping[str, Any]) -> Sequence[Part]:
    """Returns the parts of a message. What integrations keep beside the content is in `additional_kwargs`."""
    content, beside = known.get("content"), mapping(known.get("additional_kwargs"))
    if beside or type(content) is not str or not known.keys().isdisjoint(_BESIDE_CONTENT):
        return tuple(providers.content_parts({**beside, **known} if beside else known))
    has_calls = not known.keys().isdisjoint(_CALLS) and any(map(items, map(known.get, _CALLS)))
    calls = providers.tool_calls(known) if has_calls else ()
    return (Text(content), *calls) if content else tuple(calls)
