"""Patterns of secrets and personal data in running text.

To add a pattern, add a prefix to `key_patterns.py`, a name to `named_patterns.py` or a `Pattern` here, an example to
`tests/support/secret_formats.py`, and a near miss to `tests/privacy/test_redaction.py`. Each expression
begins with a character or a set of characters, which `re` finds quickly. It checks the text before that character
afterwards.
"""

import functools
import re
from collections.abc import Sequence

from otel_callbacks.privacy.key_patterns import KEYS
from otel_callbacks.privacy.named_patterns import NAMED
from otel_callbacks.privacy.pattern import Pattern

_STANDS_ALONE = r"(?![\w+-])"  # not part of a longer number or an id; expressions check this in front, too


def _query(mark: str) -> Pattern:
    expression = (
        rf"{re.escape(mark)}(?i:key|sig|signature|code|auth|pwd|pass|pw|sid|hmac|ticket|assertion|saml[a-z]+|x-(?:amz|goog)-[a-z-]+)="
        r"(?P<secret>[^&\s\"'<>#]{6,})"
    )
    return Pattern("query", expression, (mark,))


def _phone(expression: str, hint: str, backwards: str | None = None) -> Pattern:
    return Pattern("phone", f"(?a){expression}{_STANDS_ALONE}", (hint,), backwards=backwards)


def _is_card(found: str) -> bool:
    """Tells whether the digits have the check sum of a card (Luhn)."""
    digits = found.encode().translate(_VALUES, b" -")
    return (sum(digits[-1::-2]) + sum(digits[-2::-2].translate(_DOUBLED))) % 10 == 0


_VALUES = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED = bytes.maketrans(bytes(range(10)), bytes(sum(divmod(2 * digit, 10)) for digit in range(10)))
_DIGIT_OF_CARD = "[ -]?[0-9]"
_DIGIT_OF_PHONE = r"[ .()-]{0,2}+\d"

SECRETS = (
    Pattern(
        "private-key",
        (
            r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)"
            r"|PuTTY-User-Key-File-\d: .*?(?:Private-MAC: \w+|\Z)"
        ),
        ("PRIVATE KEY", "PuTTY-User-Key-File"),
    ),
    Pattern(
        "jwt",
        r"eyJ(?<![\w-]eyJ)(?:[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)*+|rIjoi[\w+/=-]{40,})",
        ("eyJ",),
    ),
    *KEYS,
    Pattern(
        "bearer",
        r"[Bb](?:earer|EARER|asic|ASIC)\s+(?P<secret>(?=[\w.~+/-]*[\d=])[\w.~+/-]{12,}=*)",
        ("earer ", "EARER ", "asic ", "ASIC "),
    ),
    Pattern("url", r"://(?P<secret>[^\s/?#\"'<>]+)@", ("://",)),
    # without a scheme; in JSON with escaped slashes; in a query
    Pattern("url", r"//(?<![:\w/]//)(?P<secret>[^\s/?#\"'<>:]{1,64}:[^\s/?#\"'<>]{1,128})@", ("//",)),
    Pattern("url", r":\\/\\/(?P<secret>[^\s/?#\"'<>\\]+)@", (":\\/\\/",)),
    Pattern(
        "url",
        r"(?i:%3a%2f%2f)(?P<secret>(?:[^\s%/?#\"'<>&]|%(?!40|2[fF])){1,256}+)%40",
        ("%2F%2F", "%2f%2f"),
    ),
    Pattern(  # the password has a / or ? that should have been escaped
        "url",
        r"://(?!\[redacted)[^\s/:@\"'<>\[]{0,64}:(?!\d{1,5}(?![^/?#\s\"'<>,;)]))(?P<secret>[^\s@\"'<>]{1,64}+)@",
        ("://",),
        "@",
    ),
    Pattern(  # a data source of Go; of Oracle
        "url",
        r"(?P<secret>)@(?:tcp|unix)\(",
        ("@tcp(", "@unix("),
        backwards=r"[^\s:@/\"']+",
    ),
    Pattern("url", r"thin:[^\s/@:]{1,64}/(?P<secret>[^\s@\"']+)@", ("thin:",)),
    *map(_query, "?&"),
    *NAMED,
    Pattern(
        "password-hash",
        r"\$(?:2[abxy]|argon2i?d?|[1568y]|scrypt|pbkdf2(?:-\w+)?)\$[\w./+=,$-]{20,}",
        ("$",),
    ),
)
"""Patterns of credentials, which are always removed."""

PERSONAL = {
    "emails": (
        Pattern(
            "email",
            r"@(?<=[\w.+-]@)[\w-]{1,63}+(?:\.[\w-]{1,63}+)+",
            ("@",),
            backwards=r"[\w.+-]+",
        ),
    ),
    "cards": (
        Pattern(
            "card",
            rf"(?a)[2-6](?<![\w+-][2-6])\d{{3}}{_DIGIT_OF_CARD * 9}(?:{_DIGIT_OF_CARD}){{0,6}}+{_STANDS_ALONE}",
            tuple("23456"),
            accept=_is_card,
        ),
    ),
    "phones": (
        _phone(
            rf"\+(?<![\w+-]\+)(?={_DIGIT_OF_PHONE * 8})"
            r"(?>\d{1,3}[ .-]?(?:\(\d{1,4}\)|\d{1,4})(?:[ .-]?\d{2,4}){1,4})",
            "+",
        ),
        _phone(r"\((?<![\w+-]\()\d{3}\) ?\d{3}[-. ]\d{4}", "("),
        _phone(r"-(?<=[2-9]\d\d-)(?<![\w+-]...-)\d{3}-\d{4}", "-", r"\d{3}"),
        _phone(r"\.(?<=[2-9]\d\d\.)(?<![\w+-]...\.)\d{3}\.\d{4}", ".", r"\d{3}"),
    ),
}
"""Patterns of personal data, by the name in `ContentPolicy(redact=...)`."""

_MARK = re.compile(r"[-_.=:>$\"']|[\w+/]{20}|[Bb](?:earer|EARER|asic|ASIC) |login\s|ENV |//|%[23]")


def remove_patterns(patterns: Sequence[Pattern], text: str) -> str:
    """Removes from a text what the patterns find. Hints make it quick: most texts contain none."""
    for pattern in patterns:
        for hint in pattern.hints:
            if hint in text:
                text = pattern.remove_from(text)
                break
    return text


@functools.cache
def compile_secrets() -> None:
    """Compiles the patterns of credentials, once in a process."""
    for pattern in SECRETS:
        pattern.compile()


def remove_secrets(text: str) -> str:
    """Removes credentials from a text. Each contains one of a few marks, which most texts do not."""
    return remove_patterns(SECRETS, text) if _MARK.search(text) else text
