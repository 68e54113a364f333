"""What is recorded of every document, whatever the content policy: its rank, score and source, never its text.

The value of `rag.documents` is a JSON list with one object per document, in the order of the result, at most 100. Its
members are `rank` (from 1), `id`, `score`, `score_kind`, `source`, `page`, `chunk` and `size` (characters); a reranked
document also has `rank_before` and `score_before`. Unknown members are left out. After 24,000 characters, id, source,
page and chunk are left out too.

Source, page and chunk come from the metadata: from the first of the keys below whose value is a text or a number. A
title is content, so it is not recorded. URLs are recorded without credentials, query and fragment, where secrets are.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from math import isfinite
from typing import Any

from otel_callbacks import limits
from otel_callbacks.operations import Document, ScoreKind, candidate_ranks
from otel_callbacks.operations.payload import text
from otel_callbacks.runtime.encodable import INT64, well_formed

Clean = Callable[[str], str]

_SOURCE_KEYS = ("source", "file_path", "file_name", "filename", "url", "source_url", "uri", "path")
_PAGE_KEYS = ("page_label", "page", "page_number")
_CHUNK_KEYS = ("chunk", "chunk_id", "chunk_index", "start_index")
_ANY_KEY = frozenset((*_SOURCE_KEYS, *_PAGE_KEYS, *_CHUNK_KEYS))

_CREDENTIALS = re.compile(r"(?<=//)[^/?#]*@")
_QUERY = re.compile(r"[?#].*", re.DOTALL)


def retrieved(found: Sequence[Document], kind: ScoreKind | None, clean: Clean = str) -> str:
    """Returns `rag.documents` of a retrieval, as JSON.

    Args:
        found: the documents.
        kind: what their scores measure.
        clean: removes from a name what the content policy forbids.
    """
    return _listed(_entries(found, kind, clean))


def reranked(kept: Sequence[Document], candidates: Sequence[Document], clean: Clean = str) -> str:
    """Returns `rag.documents` of a reranker, as JSON: the kept documents, with their rank and score before."""
    entries = []
    before = candidate_ranks(kept[: limits.RECORDED_DOCUMENTS], candidates)
    for entry, rank_before in zip(_entries(kept, "relevance", clean), before, strict=True):
        if rank_before is not None:
            entry += f',"rank_before":{rank_before}'
            score_before = candidates[rank_before - 1].score
            if score_before is not None and isfinite(score_before):
                entry += f',"score_before":{score_before}'
        entries.append(entry)
    return _listed(entries)


def _listed(entries: Iterable[str]) -> str:
    members = "},{".join(entries)
    return f"[{{{members}}}]" if members else "[]"


def _entries(found: Sequence[Document], kind: ScoreKind | None, clean: Clean) -> Sequence[str]:
    """Returns the members of each document's object; without names once they are long, as names take long to clean.

    Without `json`, in half the time, as this runs at every retrieval.
    """
    left = limits.RECORDED_DOCUMENTS_CHARACTERS
    entries = []
    for rank, document in enumerate(found[: limits.RECORDED_DOCUMENTS], 1):
        entry = f'"rank":{rank}'
        if left > 0 and document.id:
            entry += f',"id":{_quoted(clean(document.id[: limits.RECORDED_FIELD_CHARACTERS]))}'
        score = document.score
        if score is not None and isfinite(score):
            entry += f',"score":{score}' if kind is None else f',"score":{score},"score_kind":"{kind}"'
        if left > 0 and not document.metadata.keys().isdisjoint(_ANY_KEY):
            entry += _origin(document.metadata, clean)
        if document.content is not None:
            entry += f',"size":{len(document.content)}'
        left -= len(entry)
        entries.append(entry)
    return entries


def _origin(metadata: Mapping[str, Any], clean: Clean) -> str:
    for key in _SOURCE_KEYS:
        if (source := text(metadata.get(key))) is not None:
            break
    else:
        source = None
    page, chunk = (_position(metadata, keys, clean) for keys in (_PAGE_KEYS, _CHUNK_KEYS))
    if source is not None and len(source) > limits.RECORDED_FIELD_CHARACTERS:
        source = _without_secrets(source)
    return _origin_members(None if source is None else clean(source), page, chunk)


def _position(metadata: Mapping[str, Any], keys: Sequence[str], clean: Clean) -> str | int | None:
    """Returns where in its source a document stands: a page or a chunk, from the first key that has one."""
    for key in keys:
        if type(position := metadata.get(key)) is int:
            return position if position in INT64 else None
        if type(position) is str:
            return clean(position[: limits.RECORDED_FIELD_CHARACTERS])
    return None


@lru_cache(maxsize=1024)
def _origin_members(source: str | None, page: str | int | None, chunk: str | int | None) -> str:
    members = (("source", _without_secrets(source) if source else None), ("page", page), ("chunk", chunk))
    most = limits.RECORDED_FIELD_CHARACTERS
    return "".join(
        f',"{name}":{_quoted(well_formed(value[:most])) if isinstance(value, str) else value}'
        for name, value in members
        if value is not None and value != ""
    )


def _without_secrets(source: str) -> str:
    """Returns the part of a path or URL that holds no secret; nothing of a `data:` URL, which is the text itself."""
    if source.startswith("data:"):
        return ""
    if len(source) > limits.ADDRESS_CHARACTERS:
        source = (
            source[: limits.ADDRESS_CHARACTERS] + "@"
        )  # a host that has not ended by now may be credentials
    return (_QUERY.sub("", _CREDENTIALS.sub("", source)) if "//" in source else source)[
        : limits.RECORDED_FIELD_CHARACTERS
    ]
