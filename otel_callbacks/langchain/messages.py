"""LangChain's messages in the shape of the conventions, when content is recorded; and what they weigh."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
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

_ROLES = {"human": "user", "ai": "assistant"}
_MODALITIES = ("image", "audio", "video", "document")
_MEDIA_HOLDERS = ("source", "image_url", "input_audio", "file", "audio", "image", "document")
_MEDIA_URLS = ("url", "image_url", "file_url")
_MEDIA_DATA = ("base64", "data", "file_data")


def conversation(chat: Iterable[Any]) -> list[Message]:
    """The messages of a chat."""
    return [_message(message) for message in chat if isinstance(message, BaseMessage)]


def prompts(texts: Iterable[Any]) -> list[Message]:
    """The prompts of a text model, each as a user's message."""
    return [Message("user", (Text(str(text)),)) for text in texts]


@guarded  # what is told of prompts must not cost a call its span
def read_prompt(prompt: Prompt, sent: Sequence[Any], tools: Any) -> None:
    """Fills in what is asked for of a prompt: messages, or the texts that a text model completes."""
    chat = [message for message in sent if isinstance(message, BaseMessage)]
    if prompt.weights is not None:
        prompt.parts = prompt_parts(chat, tools, prompt.weights)
    if prompt.found is not None:
        prompt.text = "\n".join(map(_said, sent))


@guarded
def answer_text(response: Any) -> str:
    """The text of a model's answer, whole."""
    choices = [choice for row in getattr(response, "generations", ()) for choice in row]
    return "\n".join(str(getattr(choice, "text", "")) for choice in choices)


def _said(message: Any) -> str:
    """The text in a message."""
    content = getattr(message, "content", message)
    if isinstance(content, str):
        return content
    texts = (block if isinstance(block, str) else block.get("text") for block in content)
    return "\n".join(text for text in texts if isinstance(text, str))


def prompt_parts(chat: Iterable[BaseMessage], tools: Any, weights: PromptWeights) -> list[PromptPart]:
    """What an agent sends to its model: the definitions of its tools, then the messages."""
    return weights.parts(chat, tools, _key, _message)


def _key(message: BaseMessage) -> int:
    """What tells that a message was sent before: who said what, and the ids of the calls in it."""
    content = message.content
    said = content if isinstance(content, str) else tuple(map(_block_key, content))
    if isinstance(message, ToolMessage):
        return hash((message.type, said, message.tool_call_id))
    if isinstance(message, AIMessage) and message.tool_calls:
        return hash((message.type, said, *[call["id"] or str(call) for call in message.tool_calls]))
    return hash((message.type, said))


def _block_key(block: Any) -> Hashable:
    return (
        block if isinstance(block, str) else tuple(text for text in block.values() if isinstance(text, str))
    )


def answer(choice: Generation, finish_reason: str | None) -> Message:
    """What the model said, with why it stopped in the conventions' words."""
    reason = providers.finish_reason(finish_reason)
    message = getattr(choice, "message", None)
    if isinstance(message, BaseMessage):
        return Message("assistant", tuple(_parts(message)), finish_reason=reason)
    return Message("assistant", (Text(choice.text),), finish_reason=reason)


@guarded  # what cannot be read must not cost the span its end
def state(value: Any, role: str) -> list[Message] | None:
    """What goes into or comes out of a chain or graph, as messages; None where there is nothing to show."""
    chat = _chat(value)
    if chat is not None:
        return conversation(chat) or None
    if isinstance(value, str):
        return [Message(role, (Text(value),))] if value else None
    return None if value is None or _is_empty_input(value) else [Message(role, (Data(value),))]


def _chat(value: Any) -> list[Any] | None:
    """The messages that a state holds or is."""
    if isinstance(value, BaseMessage):
        return [value]
    held = value.get("messages") if isinstance(value, Mapping) else None
    if isinstance(held, BaseMessage):
        return [held]
    return _coerced(held) if isinstance(held, Sequence) else None


def _is_empty_input(value: Any) -> bool:
    """Whether this is what a stream has before its input."""
    return (
        isinstance(value, dict)
        and list(value) == ["input"]
        and isinstance(text := value["input"], str)
        and not text
    )


def result(value: Any) -> list[Message] | None:
    """What a chain or graph made of its input: of a state with messages, those after the user's last."""
    shown = state(value, "assistant") or []
    asked = max((at for at, message in enumerate(shown) if message.role == "user"), default=-1)
    return shown[asked + 1 :] or None


def _coerced(chat: Sequence[Any]) -> list[BaseMessage] | None:
    """Messages, also in LangChain's short forms: pairs of role and text, and mappings; None if they are none."""
    from langchain_core.messages import convert_to_messages

    try:
        return convert_to_messages([chat] if isinstance(chat, str) else list(chat))
    except Exception:  # the application means something else by the word
        return None


def _message(message: BaseMessage) -> Message:
    role = getattr(message, "role", None) or _ROLES.get(message.type, message.type)
    if isinstance(message, ToolMessage):
        return Message(role, (ToolCallResponse(message.content, message.tool_call_id),), message.name)
    return Message(role, tuple(_parts(message)), message.name)


def _parts(message: BaseMessage) -> Iterator[Part]:
    blocks = [message.content] if isinstance(message.content, str) else message.content
    for block in blocks:
        part = _part(block)
        if part is not None:
            yield part
    if isinstance(message, AIMessage):
        for call in message.tool_calls:
            yield ToolCall(call["name"], call.get("id"), call.get("args"))


def _part(block: Any) -> Part | None:
    if isinstance(block, str):
        return Text(block) if block else None
    if not isinstance(block, Mapping):
        return None
    kind = block.get("type")
    if kind == "text":
        return Text(str(block.get("text", "")))
    if kind in ("reasoning", "thinking", "reasoning_content"):
        thought = _thought(block)
        return Reasoning(thought) if thought else None
    if kind in ("tool_call", "tool_use", "function_call", "input_json_delta"):
        return None  # the message's tool_calls have them, parsed
    return _media(block)


def _thought(block: Mapping[str, Any]) -> str:
    """The text of a reasoning block: Anthropic's, Bedrock's, OpenAI's summaries, or LangChain's own."""
    text = block.get("reasoning") or block.get("thinking")
    inner = block.get("reasoning_content")
    if text is None and isinstance(inner, Mapping):
        text = inner.get("text")
    if text is None and isinstance(block.get("summary"), list):
        text = "\n".join(
            str(part["text"]) for part in block["summary"] if isinstance(part, Mapping) and "text" in part
        )
    return text if isinstance(text, str) else ""


def _media(block: Mapping[str, Any]) -> Media | None:
    """An image, sound, video or document in LangChain's form or that of OpenAI, Anthropic or Google."""
    found = dict(block)
    for holder in _MEDIA_HOLDERS:
        if isinstance(inner := block.get(holder), Mapping):
            found.update({key: value for key, value in inner.items() if key != "type"})
            del found[holder]
    mime_type = found.get("mime_type") or found.get("media_type")
    modality = _modality(str(block.get("type", "")), str(mime_type or ""))
    url = next((text for key in _MEDIA_URLS if isinstance(text := found.get(key), str)), None)
    data = next((text for key in _MEDIA_DATA if isinstance(text := found.get(key), str)), None)
    if not modality:
        return None
    inline = next((text for text in (url, data) if text is not None and text.startswith("data:")), None)
    if inline is not None:
        head, _, encoded = inline.partition(",")
        return Media(modality, head[5:].partition(";")[0] or None, content=encoded)
    if url is not None:
        return Media(modality, mime_type, uri=url)
    if data is not None:
        return Media(modality, mime_type, content=data)
    return Media(modality, mime_type, file_id=str(found.get("file_id") or found.get("id") or ""))


def _modality(kind: str, mime_type: str) -> str | None:
    """The modality in the block's type, else in the media type; whatever else is a file is a document."""
    known = next(
        (modality for text in (kind, mime_type) for modality in _MODALITIES if modality in text), None
    )
    return known or ("document" if "file" in kind or kind == "media" else None)
