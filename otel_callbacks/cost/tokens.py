"""How many tokens a text is, estimated in microseconds from the kinds of its bytes, without a vocabulary.

A token of today's vocabularies is, roughly, a word with the space before it, up to three digits, a run of
punctuation, or a piece of a word. So what counts is letters, groups of digits, punctuation, line breaks, the
places where one kind of byte follows another, and the characters that most vocabularies cut finer.
"""

# Powers of two, so that the exclusive or of two neighbours tells which two kinds meet.
_LETTER, _DIGIT, _PUNCTUATION, _SPACE, _BREAK = 1, 2, 4, 8, 16
_THREE_DIGITS = bytes([_DIGIT] * 3)
_LETTER_MEETS_DIGIT = _LETTER ^ _DIGIT
_ALIKE = 0


def _kind(byte: int) -> int:
    character = chr(byte)
    if byte >= 0x80 or character.isalpha():
        return _LETTER
    if character.isdigit():
        return _DIGIT
    if character in "\n\r\t\v\f":
        return _BREAK
    return _SPACE if character == " " else _PUNCTUATION


_KINDS = bytes(_kind(byte) for byte in range(256))
# The first bytes, in UTF-8, of characters that cost more than their bytes do as letters.
_DEARER = (
    bytes(range(0xC2, 0xCE)),  # accented Latin
    b"\xe2",  # typographic signs, arrows, boxes
    bytes(range(0xE3, 0xF0)),  # Chinese, Japanese, Korean
    bytes(range(0xF0, 0xF5)),  # emoji
)
_NONE_DEARER = (0,) * len(_DEARER)

WEIGHTS = (0.145, 0.429, 0.742, 0.802, 0.704, 0.253, 0.73, 1.467, 0.591, 0.252, 0.057)
"""Tokens per thing counted by `features`, as `benchmarks/estimator.py --fit` finds them."""

_WHOLE = 8_192
_SAMPLES = 16


def _count(data: bytes, leads: bytes) -> int:
    return len(data) - len(data.translate(None, leads))


def features(text: str) -> tuple[int, ...]:
    """What is counted in a text, in the order of `WEIGHTS`."""
    data = text.encode("utf-8", "replace")
    kinds = data.translate(_KINDS)
    row = int.from_bytes(kinds)
    changes = (row ^ row >> 8).to_bytes(len(kinds))
    triples = kinds.count(_THREE_DIGITS)
    return (
        kinds.count(_LETTER),
        kinds.count(_PUNCTUATION),
        kinds.count(_BREAK),
        triples,
        kinds.count(_DIGIT) - 3 * triples,
        len(changes) - changes.count(_ALIKE),
        changes.count(_LETTER_MEETS_DIGIT),
        *(_NONE_DEARER if text.isascii() else (_count(data, leads) for leads in _DEARER)),
    )


def estimate(text: str) -> float:
    """The tokens of a text; of a long one, extrapolated from samples spread over it, so that the work is bounded."""
    if len(text) > _WHOLE:
        size, stride = _WHOLE // _SAMPLES, len(text) // _SAMPLES
        sampled = "".join(text[start : start + size] for start in range(0, stride * _SAMPLES, stride))
        return estimate(sampled) * len(text) / len(sampled)
    return sum(weight * count for weight, count in zip(WEIGHTS, features(text), strict=True))
