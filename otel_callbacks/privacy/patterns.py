"""Patterns of secrets and personal data in running text.

To add a pattern, add a `Pattern` here, and a hit and a near miss to `tests/privacy/test_redaction.py`. Each expression
begins with a character or a set of characters, which `re` finds quickly. It checks the text before that character
afterwards.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from otel_callbacks.limits import FINDINGS_IN_TEXT

MARK = "[redacted:"
"""The beginning of every mark that replaces a finding."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of secret or personal data.

    Attributes:
        name: a finding is replaced by `[redacted:name]`.
        regex: finds it. If it has a group `secret`, only the group is replaced; nothing, if the group did not match.
        hints: the expression is tried only on texts that contain one of these strings, see `remove_patterns`.
        precheck: a quicker expression, tried first on the reversed text, which must match somewhere.
        accept: checks a finding for what an expression cannot check.
        backwards: matches, in the reversed text, what is removed before a finding.
    """

    name: str
    regex: re.Pattern[str]
    hints: tuple[str, ...]
    precheck: re.Pattern[str] | None = None
    accept: Callable[[str], bool] | None = None
    backwards: re.Pattern[str] | None = None

    def remove_from(self, text: str) -> str:
        """Removes all findings from a text, and everything after `FINDINGS_IN_TEXT` of them."""
        if self.precheck and not self.precheck.search(text[::-1]):
            return text
        group = "secret" if "secret" in self.regex.groupindex else 0
        mark = f"{MARK}{self.name}]"
        shown: list[str] = []
        at, left = 0, FINDINGS_IN_TEXT
        for match in self.regex.finditer(text):
            start, end = match.span(group)
            if start < at or (self.accept and not self.accept(match[0])):
                continue
            if self.backwards and (
                before := self.backwards.match(text[max(at, start - _BEFORE) : start][::-1])
            ):
                start -= before.end()
            if not shown:
                left -= text.count(MARK)
            if left <= 0:
                return f"{''.join(shown)}{text[at:start]}{MARK} the rest]"
            shown += text[at:start], mark
            at = end
            left -= 1
        return "".join(shown) + text[at:] if shown else text


_BEFORE = 64  # characters: the part of an address before the @ has no more (RFC 5321)
_PREFIXES = (
    *("sk-", "gsk_", "hf_", "xai-", "pplx-", "r8_", "nvapi-", "tvly-", "lsv2_", "csk-", "fw_"),  # models
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_", "glpat-", "npm_", "pypi-", "dckr_"),  # code
    *("sk_", "rk_", "whsec_", "xoxb-", "xoxp-", "xoxa-", "xoxs-", "xapp-", "ya29.", "SG."),  # services
)
_KEYS = (
    *("apikey", "api_key", "api-key", "accesskey", "access_key", "access-key", "accountkey", "account_key"),
    *("privatekey", "private_key", "secretkey", "secret_key", "subscription-key", "password", "passwd"),
    *("passphrase", "secret", "token", "authorization", "cookie", "credential", "credentials"),
)
_FILLER = r"[\"'\\ ]"  # between a name and the sign after it
_CLOSING = r"\"'&;,(\[)}\]<>\\"
_STANDS_ALONE = r"(?![\w+-])"  # not part of a longer number or an id; expressions check this in front, too


def _letters(words: Sequence[str], *places: int) -> str:
    """Returns an expression for the letters at these places of the words: a quick check that most other words fail."""
    return "".join(f"[{''.join(sorted({word[at] for word in words}))}]" for at in places)


def _behind(words: Sequence[str], before: str = "", after: str = "") -> str:
    """Returns an expression that looks back at one of the words, between `before` and `after`."""
    sizes = sorted(set(map(len, words)))
    same = ("|".join(re.escape(word) for word in words if len(word) == size) for size in sizes)
    return "|".join(f"(?<={before}(?:{each}){after})" for each in same)


def _named(after: str) -> str:
    """Returns an expression that looks back at the name of a secret, followed by `after`."""
    return f"(?i:{_behind(_KEYS, after=after)})"


def _assigned(sign: str, bare: str) -> tuple[Pattern, Pattern]:
    """Makes patterns for values assigned to the name of a secret, except words of prose or code.

    `bare` matches a value without quotes. The value is a lookahead, because it may contain further assignments. It
    ends at the next `sign`; otherwise a text full of signs would be read over and over.
    """
    character = rf"[^{sign}\s{_CLOSING}]"
    no_secret = (
        r"(?i:none|null|true|false|undefined|string|required|optional)"
        rf"(?(quote)(?![^\"'\\\n])|(?!{character}))|\[redacted|\*{{3}}|\$|(?i:os|self|settings|config)\."
    )
    value = (
        rf"(?=[^\S\n]*+(?P<quote>[bf]?\\*[\"'])?+(?P<secret>(?(quote)|(?={character}{{6}}))(?!{no_secret})"
        rf"(?(quote)[^\"'\\\n]{{4,}}|{bare}(?![(\[]))))"
    )
    last = _letters((*_KEYS, *map(str.upper, _KEYS)), -3, -2, -1)
    near = (
        f"{sign}(?:(?<={last}{sign})|(?<={last}{_FILLER}{sign})){value}"
        f"(?:{_named(sign)}|{_named(_FILLER + sign)})"
    )
    far = f"{_FILLER}(?<={last}{_FILLER}){_named(_FILLER)}{_FILLER}{{1,30}}+{sign}{value}"
    precheck = f"{sign}{_FILLER}{{2,31}}+(?i:{'|'.join(key[::-1] for key in _KEYS)})"
    return (
        Pattern("assigned", re.compile(near), (sign,)),
        Pattern("assigned", re.compile(far), (sign,), re.compile(precheck)),
    )


def _query(mark: str) -> Pattern:
    expression = (
        rf"{re.escape(mark)}(?i:key|sig|signature|code|auth|x-amz-[a-z-]+)=(?P<secret>[^&\s\"'<>#]{{6,}})"
    )
    return Pattern("query", re.compile(expression), (mark,))


def _key(mark: str) -> Pattern:
    """Makes a pattern for keys whose prefix ends with this mark. A key has digits; a word with hyphens does not."""
    prefixes = [prefix for prefix in _PREFIXES if prefix[-1] == mark]
    prefix = (
        rf"(?<={_letters(prefixes, -3, -2)}.)(?=[\w.-]{{14}})(?:{_behind(prefixes, before=chr(92) + 'b')})"
    )
    found = prefix + r"(?:(?=[\w.-]*\d)(?P<secret>[\w.-]+)|[\w.-]+)"
    return Pattern("key", re.compile(re.escape(mark) + found), (mark,))


def _phone(expression: str, hint: str, backwards: str | None = None) -> Pattern:
    regex = re.compile(expression + _STANDS_ALONE, re.ASCII)
    return Pattern("phone", regex, (hint,), backwards=re.compile(backwards) if backwards else None)


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
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL
        ),
        ("PRIVATE KEY",),
    ),
    Pattern("jwt", re.compile(r"eyJ(?<![\w-]eyJ)[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)*+"), ("eyJ",)),
    *map(_key, "-_."),
    Pattern("key", re.compile(r"A(?:KIA|SIA)[A-Z0-9]{16}|AIza[\w-]{35}"), ("AKIA", "ASIA", "AIza")),
    Pattern(
        "bearer",
        re.compile(r"[Bb](?:earer|EARER|asic|ASIC)\s+(?P<secret>(?=[\w.~+/-]*[\d=])[\w.~+/-]{12,}=*)"),
        ("earer ", "EARER ", "asic ", "ASIC "),
    ),
    Pattern("url", re.compile(r"://(?P<secret>[^\s/?#@\"'<>]++)@"), ("://",)),
    *map(_query, "?&"),
    *_assigned("=", rf"[^=\s{_CLOSING}]{{6,}}+=*+"),
    *_assigned(":", rf"(?:(?i:bearer|basic)\s)?+(?=[^:\s{_CLOSING}]*\d)[^:\s{_CLOSING}]{{6,}}+"),
)
"""Patterns of credentials, which are always removed."""

PERSONAL = {
    "emails": (
        Pattern(
            "email",
            re.compile(r"@(?<=[\w.+-]@)[\w-]{1,63}+(?:\.[\w-]{1,63}+)+"),
            ("@",),
            backwards=re.compile(r"[\w.+-]+"),
        ),
    ),
    "cards": (
        Pattern(
            "card",
            re.compile(
                rf"[2-6](?<![\w+-][2-6])\d{{3}}{_DIGIT_OF_CARD * 9}(?:{_DIGIT_OF_CARD}){{0,6}}+{_STANDS_ALONE}",
                re.ASCII,
            ),
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

_MARK = re.compile(r"[-_.=:]|AKIA|ASIA|AIza|[Bb](?:earer|EARER|asic|ASIC) ")


def remove_patterns(patterns: Sequence[Pattern], text: str) -> str:
    """Removes from a text what the patterns find. Hints make it quick: most texts contain none."""
    for pattern in patterns:
        for hint in pattern.hints:
            if hint in text:
                text = pattern.remove_from(text)
                break
    return text


def remove_secrets(text: str) -> str:
    """Removes credentials from a text. Each contains one of a few marks, which most texts do not."""
    return remove_patterns(SECRETS, text) if _MARK.search(text) else text
