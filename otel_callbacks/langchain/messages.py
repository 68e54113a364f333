"""LangChain's messages in the shape of the conventions, when content is recorded; and what they weigh."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import Generation

from otel_callbacks import providers
from otel_callbacks.cost.prompts import PromptWeights
from otel_callbacks.guard import guarded
from otel_callbacks.lineage import Prompt
from otel_callbacks.operations import (
    Data,
    Media,
    Message,
    Part,
    PromptPart,
    Reasoning,
    Text,
    ToolCall,
    ToolCallResponse,
)
from otel_callbacks.reading import MOST, attribute, is_a, is_list, items, mapping, text, word

_ROLES = {"human": "user", "ai": "assistant"}
_MODALITIES = ("image", "audio", "video", "document")
_MEDIA_HOLDERS = ("source", "image_url", "input_audio", "file", "audio", "image", "document")
_MEDIA_URLS = ("url", "image_url", "file_url")
_MEDIA_DATA = ("base64", "data", "file_data")
_MEDIA_KEYS = (*_MEDIA_URLS, *_MEDIA_DATA, "mime_type", "media_type", "file_id", "id")
_MOST_BLOCKS = 500
_MOST_FIELDS = 50  # of a message in such a form
_MOST_SHORT = 200  # messages in LangChain's short forms, which it takes long to make messages of


def conversation(chat: Any) -> list[Message]:
    """The messages of a chat; of a very long one the first and the newest."""
    given = items(chat)
    skipped = max(0, len(given) - MOST)
    read = [_message(message) for message in given[skipped:] if is_a(message, BaseMessage)]
    if not skipped:
        return read
    first = [_message(message) for message in given[:1] if is_a(message, BaseMessage)]
    return [*first, *(replace(message, skipped=skipped - 1) for message in read[:1]), *read[1:]]


def prompts(texts: Any) -> list[Message]:
    """The prompts of a text model, each as a user's message."""
    return [Message("user", (Text(found),)) for prompt in items(texts)[:MOST] if (found := text(prompt))]


@guarded  # what is told of prompts must not cost a call its span
def read_prompt(prompt: Prompt, sent: Sequence[Any], tools: Any) -> None:
    """Fills in what is asked for of a prompt: messages, or the texts that a text model completes."""
    given = items(sent)[-MOST:]
    if prompt.weights is not None:
        chat = [message for message in given if is_a(message, BaseMessage)]
        prompt.parts = prompt_parts(chat, tools, prompt.weights)
    if prompt.found is not None:
        prompt.text = "\n".join(map(_said, given))


@guarded
def answer_text(choices: Iterable[Generation]) -> str:
    """The text of a model's answer, whole."""
    return "\n".join(text(attribute(choice, "text")) or "" for choice in choices)


def _said(message: Any) -> str:
    """The text in a message."""
    content = attribute(message, "content") if is_a(message, BaseMessage) else message
    return text(content) or "\n".join(filter(None, map(_block_text, items(content)[:MOST])))


def _block_text(block: Any) -> str | None:
    return text(block) or text(mapping(block).get("text"))


def prompt_parts(chat: Iterable[BaseMessage], tools: Any, weights: PromptWeights) -> list[PromptPart]:
    """What an agent sends to its model: the definitions of its tools, then the messages."""
    return weights.parts(chat, tools, _key, _message)


def _key(message: BaseMessage) -> int:
    """What tells that a message was sent before: who said what, and the ids of the calls in it."""
    content = attribute(message, "content")
    said = text(content) or tuple(map(_block_key, items(content)[:MOST]))
    if is_a(message, ToolMessage):
        return hash((type(message), said, word(attribute(message, "tool_call_id"))))
    return hash((type(message), said, *(call.id or str(call) for call in _tool_calls(message))))


def _block_key(block: Any) -> Hashable:
    return text(block) or tuple(found for value in mapping(block).values() if (found := text(value)))


def answer(choice: Generation, finish_reason: str | None) -> Message:
    """What the model said, with why it stopped in the conventions' words."""
    reason = providers.finish_reason(finish_reason)
    message = attribute(choice, "message")
    if is_a(message, BaseMessage):
        return Message("assistant", tuple(_parts(message)), finish_reason=reason)
    return Message("assistant", (Text(text(attribute(choice, "text")) or ""),), finish_reason=reason)


@guarded  # what cannot be read must not cost the span its end
def state(value: Any, role: str) -> list[Message] | None:
    """What goes into or comes out of a chain or graph, as messages; None where there is nothing to show."""
    chat = _chat(value)
    if chat is not None:
        return conversation(chat) or None
    if is_a(value, str):
        return [Message(role, (Text(said),))] if (said := text(value)) else None
    return None if value is None or _is_empty_input(value) else [Message(role, (Data(value),))]


def _chat(value: Any) -> Sequence[Any] | None:
    """The messages that a state holds or is."""
    if is_a(value, BaseMessage):
        return [value]
    held = mapping(value).get("messages")
    if is_a(held, BaseMessage):
        return [held]
    return _coerced([held] if is_a(held, str) else items(held)) if is_a(held, str) or is_list(held) else None


def _is_empty_input(value: Any) -> bool:
    """Whether this is what a stream has before its input."""
    return type(value) is dict and len(value) == 1 and type(asked := value.get("input")) is str and not asked


def result(value: Any) -> list[Message] | None:
    """What a chain or graph made of its input: of a state with messages, those after the user's last."""
    shown = state(value, "assistant") or []
    asked = max((at for at, message in enumerate(shown) if message.role == "user"), default=-1)
    return shown[asked + 1 :] or None


def _coerced(chat: Sequence[Any]) -> Sequence[Any] | None:
    """Messages, also in LangChain's short forms: pairs of role and text, and mappings; None if they are none."""
    from langchain_core.messages import convert_to_messages

    if all(is_a(message, BaseMessage) for message in chat[:MOST]):
        return chat
    short = list(chat[-_MOST_SHORT:])
    if any(len(mapping(message)) > _MOST_FIELDS for message in short):
        return None
    try:
        return convert_to_messages(short)
    except Exception:  # the application means something else by the word
        return None


def _message(message: BaseMessage) -> Message:
    kind = word(attribute(message, "type")) or "unknown"
    role = word(attribute(message, "role")) or _ROLES.get(kind, kind)
    name = word(attribute(message, "name"))
    if is_a(message, ToolMessage):
        response = ToolCallResponse(attribute(message, "content"), word(attribute(message, "tool_call_id")))
        return Message(role, (response,), name)
    return Message(role, tuple(_parts(message)), name)


def _parts(message: BaseMessage) -> Iterator[Part]:
    content = attribute(message, "content")
    for block in (content,) if is_a(content, str) else items(content)[:_MOST_BLOCKS]:
        part = _part(block)
        if part is not None:
            yield part
    yield from _tool_calls(message)


def _tool_calls(message: BaseMessage) -> Iterator[ToolCall]:
    calls = items(attribute(message, "tool_calls")) if is_a(message, AIMessage) else ()
    for call in map(mapping, calls[:MOST]):
        yield ToolCall(word(call.get("name")) or "", word(call.get("id")), call.get("args"))


def _part(block: Any) -> Part | None:
    if is_a(block, str):
        return Text(said) if (said := text(block)) else None
    known = mapping(block)
    kind = word(known.get("type")) or ""
    if kind == "text":
        return Text(text(known.get("text")) or "")
    if kind in ("reasoning", "thinking", "reasoning_content"):
        thought = _thought(known)
        return Reasoning(thought) if thought else None
    if kind in ("tool_call", "tool_use", "function_call", "input_json_delta"):
        return None  # the message's tool_calls have them, parsed
    return _media(known, kind)


def _thought(block: Mapping[str, Any]) -> str | None:
    """The text of a reasoning block: Anthropic's, Bedrock's, OpenAI's summaries, or LangChain's own."""
    thought = text(block.get("reasoning")) or text(block.get("thinking"))
    inner = mapping(block.get("reasoning_content"))
    summary = (text(mapping(part).get("text")) for part in items(block.get("summary"))[:MOST])
    return thought or text(inner.get("text")) or "\n".join(filter(None, summary))


def _media(block: Mapping[str, Any], kind: str) -> Media | None:
    """An image, sound, video or document in LangChain's form or that of OpenAI, Anthropic or Google."""
    known: dict[str, str] = {}
    for each in (block, *(mapping(block[holder]) for holder in _MEDIA_HOLDERS if holder in block)):
        known |= {key: found for key in _MEDIA_KEYS if (found := text(each.get(key))) is not None}
    mime_type = word(known.get("mime_type")) or word(known.get("media_type"))
    modality = _modality(kind, mime_type or "")
    url = next((known[key] for key in _MEDIA_URLS if key in known), None)
    data = next((known[key] for key in _MEDIA_DATA if key in known), None)
    if not modality:
        return None
    inline = next((found for found in (url, data) if found is not None and found.startswith("data:")), None)
    if inline is not None:
        head, _, encoded = inline.partition(",")
        return Media(modality, head[5:].partition(";")[0] or None, content=encoded)
    if url is not None:
        return Media(modality, mime_type, uri=url)
    if data is not None:
        return Media(modality, mime_type, content=data)
    return Media(modality, mime_type, file_id=word(known.get("file_id")) or word(known.get("id")))


def _modality(kind: str, mime_type: str) -> str | None:
    """The modality in the block's type, else in the media type; whatever else is a file is a document."""
    known = next(
        (modality for text in (kind, mime_type) for modality in _MODALITIES if modality in text), None
    )
    return known or ("document" if "file" in kind or kind == "media" else None)
