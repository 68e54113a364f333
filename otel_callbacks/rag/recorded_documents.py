"""What is always told of a document: where it stood, what it scored and where it comes from; never its text.

The value of `rag.documents` is a JSON list, one object per document in the order of the result, at most 100:
`rank` (from 1), `id`, `score`, `score_kind`, `source`, `page`, `chunk`, `size` (characters), and of a reranked
document `rank_before` and `score_before`. What is not known is left out, and, after 24,000 characters, what tells
where a document comes from.

Source, page and chunk are taken from the metadata, the first of the keys below that has a text or a number. A
title is text, and is not taken. Of a URL the credentials, the query and the fragment are cut off: that is where
the tokens are.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from math import isfinite
from typing import Any

from otel_callbacks.operations import Document, ScoreKind, candidate_ranks
from otel_callbacks.operations.payload import text
from otel_callbacks.runtime.encodable import INT64, well_formed

Clean = Callable[[str], str]

_MAX_DOCUMENTS = 100
_MAX_TEXT = 256
_MAX_LISTED = 24_000  # characters of all entries together
_MAX_ADDRESS = 4_096  # characters in which a host has to end

_SOURCE_KEYS = ("source", "file_path", "file_name", "filename", "url", "source_url", "uri", "path")
_PAGE_KEYS = ("page_label", "page", "page_number")
_CHUNK_KEYS = ("chunk", "chunk_id", "chunk_index", "start_index")
_FEW = 32  # fields of metadata that are quicker to go through than to ask for ours
_ANY_KEY = frozenset((*_SOURCE_KEYS, *_PAGE_KEYS, *_CHUNK_KEYS))

_CREDENTIALS = re.compile(r"(?<=//)[^/?#]*@")
_QUERY = re.compile(r"[?#].*", re.DOTALL)


def retrieved(found: Sequence[Document], kind: ScoreKind | None, clean: Clean = str) -> str:
    """The documents of a retrieval, whose scores are of this kind; `clean` takes out what may not be shown."""
    return _listed(_entries(found, kind, clean))


def reranked(kept: Sequence[Document], candidates: Sequence[Document], clean: Clean = str) -> str:
    """The documents that a reranker kept, with their place and score among those it was given."""
    entries = []
    before = candidate_ranks(kept[:_MAX_DOCUMENTS], candidates)
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


def _entries(found: Sequence[Document], kind: ScoreKind | None, clean: Clean) -> Iterator[str]:
    """The members of each document's object; of very long ones only the first have names, which take long to clean."""
    left = _MAX_LISTED
    for rank, document in enumerate(found[:_MAX_DOCUMENTS], 1):
        entry = _described(
            document if left > 0 else replace(document, id=None, metadata={}), rank, kind, clean
        )
        left -= len(entry)
        yield entry


def _described(document: Document, rank: int, kind: ScoreKind | None, clean: Clean) -> str:
    """The members of one JSON object. Written out by hand: this runs at every retrieval, and is twice as fast."""
    written = f'"rank":{rank}'
    if document.id:
        written += f',"id":{_quoted(clean(document.id[:_MAX_TEXT]))}'
    score = document.score
    if score is not None and isfinite(score):
        written += f',"score":{score}' if kind is None else f',"score":{score},"score_kind":"{kind}"'
    if len(document.metadata) > _FEW or not _ANY_KEY.isdisjoint(document.metadata):
        written += _origin(document.metadata, clean)
    if document.content is not None:
        written += f',"size":{len(document.content)}'
    return written


def _origin(metadata: Mapping[str, Any], clean: Clean) -> str:
    for key in _SOURCE_KEYS:
        if (source := text(metadata.get(key))) is not None:
            break
    else:
        source = None
    page, chunk = (_place(metadata, keys, clean) for keys in (_PAGE_KEYS, _CHUNK_KEYS))
    if source is not None and len(source) > _MAX_TEXT:
        source = _without_secrets(source)
    return _origin_members(None if source is None else clean(source), page, chunk)


def _place(metadata: Mapping[str, Any], keys: Sequence[str], clean: Clean) -> str | int | None:
    """Where in its source a document stands, the first that is told."""
    for key in keys:
        if type(place := metadata.get(key)) is int:
            return place if place in INT64 else None
        if type(place) is str:
            return clean(place[:_MAX_TEXT])
    return None


@lru_cache(maxsize=1024)
def _origin_members(source: str | None, page: str | int | None, chunk: str | int | None) -> str:
    members = (("source", _without_secrets(source) if source else None), ("page", page), ("chunk", chunk))
    return "".join(
        f',"{name}":{_quoted(well_formed(value[:_MAX_TEXT])) if isinstance(value, str) else value}'
        for name, value in members
        if value is not None and value != ""
    )


def _without_secrets(source: str) -> str:
    """The part of a path or URL that may be shown; nothing of a `data:` URL, which is the text itself."""
    if source.startswith("data:"):
        return ""
    if len(source) > _MAX_ADDRESS:
        source = source[:_MAX_ADDRESS] + "@"  # as if what has no end until here were credentials
    return (_QUERY.sub("", _CREDENTIALS.sub("", source)) if "//" in source else source)[:_MAX_TEXT]
