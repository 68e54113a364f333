"""Splits text for the local model: into tokens, which usage counts, word stems and sentences."""

import re
from functools import lru_cache

from otel_callbacks.limits import DEMO_STEMS_REMEMBERED

_TOKEN = re.compile(r"\s*(?:\w{1,6}|[^\w\s])|\s+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W\d_]+|\d+")
_ENDING = re.compile(r"(?<=...)(?:ations?|ings?|ions?|ers?|ed|es?|(?<!s)s)$")
_DOUBLED = re.compile(r"(.)\1$")
_SENTENCE_END = re.compile(
    r"(?<=[.!?])\s+(?=[\"'`*(\[]*[A-Z0-9])|\s*\n\s*[-=*_~]{3,}\s*\n\s*|\n\s*\n|\n\s*(?=[-*•] |>>>)"
)

STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        a about all also an and any are as at be been but by can could did do does each for from get
        given had has have how i if in into is it its like may me must my need no not of on one only or
        our out over please shall should so some such than that the their them then there these they
        this those to up us use used uses using very want was we were what when where which who whose
        why will with would you your
        """,
    )
)
"""Words that do not tell what a text is about."""


def tokens(text: str) -> list[str]:
    """Splits a text into the tokens that usage counts; joined, they are the text again.

    A token is up to six letters, digits or underscores, or one other character, with the space before it.
    """
    return _TOKEN.findall(text)


def stems(text: str) -> list[str]:
    """Returns the stems of the meaningful words in order: lower case, no endings, no stop words.

    Identifiers are split: `file_digest`, `fileDigest` and "the digests of a file" share both stems.
    """
    words = map(str.lower, _WORD.findall(_HUMP.sub(" ", text)))
    return [_stem(word) for word in words if word not in STOP_WORDS]


@lru_cache(DEMO_STEMS_REMEMBERED)
def _stem(word: str) -> str:
    return _DOUBLED.sub(r"\1", _ENDING.sub("", word))


def sentences(text: str) -> list[str]:
    """Splits prose into sentences, each on one line: at full stops, empty lines, rulers and list items."""
    return [" ".join(part.split()) for part in _SENTENCE_END.split(text) if _WORD.search(part)]
