"""Media blocks: images, sound, video and documents in the forms of LangChain, OpenAI, Anthropic and Google."""

from collections.abc import Mapping
from typing import Any

from otel_callbacks.operations.messages import Media
from otel_callbacks.operations.payload import mapping_or_fields, text, word

_MODALITIES = ("image", "audio", "video", "document")
_HOLDERS = (
    *("source", "image_url", "input_audio", "file", "audio", "image", "document", "video"),
    *("inline_data", "file_data"),
)
_URLS = ("url", "image_url", "file_url", "file_uri")
_DATA = ("base64", "data", "file_data", "b64_json")
_KEYS = (*_URLS, *_DATA, "mime_type", "media_type", "file_id", "id")
_FIELDS = frozenset((*_HOLDERS, *_KEYS))


def media_part(block: Mapping[str, Any], kind: str) -> Media | None:
    """Returns the medium in a block; None if the block says neither what it is nor where.

    Args:
        block: the fields of the block.
        kind: the type of the block, such as "image_url"; empty for a block without a type.
    """
    if not kind and _FIELDS.isdisjoint(block):
        return None
    known: dict[str, str] = {}
    for each in (block, *(mapping_or_fields(block[holder]) for holder in _HOLDERS if holder in block)):
        known |= {key: found for key in _KEYS if (found := text(each.get(key))) is not None}
    mime_type = word(known.get("mime_type")) or word(known.get("media_type"))
    modality = modality_of(kind, mime_type or "")
    if not modality:
        return None
    url = next((known[key] for key in _URLS if key in known), None)
    data = next((known[key] for key in _DATA if key in known), None)
    inline = next((found for found in (url, data) if found is not None and found.startswith("data:")), None)
    if inline is not None:
        head, _, encoded = inline.partition(",")
        return Media(modality, head[5:].partition(";")[0] or None, content=encoded)
    if url is not None:
        return Media(modality, mime_type, uri=url)
    if data is not None:
        return Media(modality, mime_type, content=data)
    file_id = word(known.get("file_id")) or word(known.get("id"))
    return None if file_id is None else Media(modality, mime_type, file_id=file_id)


def modality_of(kind: str, mime_type: str) -> str | None:
    """Returns the modality in the block's type, else in the media type; any other file is a document."""
    known = next(
        (modality for text in (kind, mime_type) for modality in _MODALITIES if modality in text), None
    )
    return known or ("document" if "file" in kind or kind == "media" else None)
