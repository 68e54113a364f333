"""What secrets and personal data look like in running text.

To add a kind, add a `Pattern`; `tests/test_redaction.py` wants a hit and a near miss for it. Every expression begins
with a character or a set of them, for which `re` can skip ahead; what stands before is looked at afterwards.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of thing that is removed from text.

    Attributes:
        name: what is written in its place, as `[redacted:name]`.
        regex: finds it; only the group `secret` is replaced where there is one.
        hints: strings of which a text must hold one for the expression to be tried at all, see `without`.
        accept: a last look at a match, for what an expression cannot tell.
        backwards: finds what stands before and is removed as well, in the text read from its end.
    """

    name: str
    regex: re.Pattern[str]
    hints: tuple[str, ...]
    accept: Callable[[re.Match[str]], bool] = lambda match: True
    backwards: re.Pattern[str] | None = None

    def remove_from(self, text: str) -> str:
        """The text without it, and without the rest after very many findings, which would take long."""
        group = "secret" if "secret" in self.regex.groupindex else 0
        shown: list[str] = []
        at = 0
        for match in self.regex.finditer(text):
            start, end = match.span(group)
            if self.backwards and (
                before := self.backwards.match(text[max(at, start - _BEFORE) : start][::-1])
            ):
                start -= before.end()
            if start >= at and self.accept(match):
                if len(shown) == 2 * _MOST:
                    return f"{''.join(shown)}{text[at:start]}[redacted: the rest]"
                shown += text[at:start], f"[redacted:{self.name}]"
                at = end
        return "".join(shown) + text[at:] if shown else text


_BEFORE = 64  # characters
_MOST = 1_000  # findings of one kind in one text
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
_NO_SECRET = re.compile(
    r"(none|null|true|false|undefined|string|required|optional)$|\[redacted|\*{3}|\$|(os|self|settings|config)\.",
    re.IGNORECASE,
)

_QUOTE_OR_SPACE = r"[\"'\\ ]"


def _letters(words: Sequence[str], *places: int) -> str:
    """What stands at these places of the words: most others differ there, so that few need a closer look."""
    return "".join(f"[{''.join(sorted({word[at] for word in words}))}]" for at in places)


def _assigned(sign: str, value: str) -> Pattern:
    """What is assigned to the name of a secret; `accept` decides where more than a quote or space stands behind it."""
    name = _letters((*_KEYS, *map(str.upper, _KEYS)), -3, -2, -1)
    behind = (name, name + _QUOTE_OR_SPACE, _QUOTE_OR_SPACE * 2)
    after_name = "|".join(f"(?<={each}{sign})" for each in behind)
    return Pattern("assigned", re.compile(f"{sign}(?:{after_name}){value}"), (sign,), _is_assigned)


def _query(mark: str) -> Pattern:
    expression = (
        rf"{re.escape(mark)}(?i:key|sig|signature|code|auth|x-amz-[a-z-]+)=(?P<secret>[^&\s\"'<>#]{{6,}})"
    )
    return Pattern("query", re.compile(expression), (mark,))


def _key(mark: str) -> Pattern:
    """Keys whose prefix ends with this mark."""
    prefixes = [prefix for prefix in _PREFIXES if prefix[-1] == mark]
    behind = "|".join(
        rf"(?<=\b(?:{'|'.join(re.escape(prefix) for prefix in prefixes if len(prefix) == size)}))"
        for size in sorted({len(prefix) for prefix in prefixes})
    )
    found = rf"(?<={_letters(prefixes, -3, -2)}.)(?=[\w.-]{{14}})(?:{behind})(?P<secret>[\w.-]{{14,}})"
    return Pattern("key", re.compile(re.escape(mark) + found), (mark,), _is_key)


# An assigned value is only looked at: what stands in it may be assigned, too. It ends at the next sign of its kind, or
# one text full of signs would be read over and over.
_QUOTED = r"[^\S\n]*(?P<quote>[bf]?\\*[\"'])?(?P<secret>(?(quote)[^\"'\\\n]{4,}|"
_SCHEME = r"(?:(?i:bearer|basic)\s)?"
_CLOSING = r"\"'&;,(\[)}\]<>\\"

_has_digit = re.compile(r"\d").search
_JOINS = re.compile(r"[\w+-]")
_NO_DIGITS = {ordinal: None for ordinal in range(128) if not chr(ordinal).isdigit()}
_DOUBLED = {str(digit): sum(divmod(2 * digit, 10)) for digit in range(10)}


def _is_key(match: re.Match[str]) -> bool:
    """Not a word with hyphens: a key has digits."""
    return _has_digit(match["secret"]) is not None


def _is_assigned(match: re.Match[str]) -> bool:
    """Whether what is assigned has the name of a secret, and is more than a word of prose or code."""
    before = match.string[max(0, match.start() - 32) : match.start()]
    if not before.rstrip("\\\"' ").lower().endswith(_KEYS) or _NO_SECRET.match(match["secret"]):
        return False
    if match["quote"]:
        return True
    end = match.end("secret")
    is_call = match.string[end : end + 1] in ("(", "[")
    return not is_call and (match[0] == "=" or _has_digit(match["secret"]) is not None)


def _stands_alone(match: re.Match[str]) -> bool:
    """Whether neither a letter, a digit nor what joins them is around: not a part of an id or a number."""
    start, end = match.span()
    return not _JOINS.search(match.string[max(0, start - 1) : start] + match.string[end : end + 1])


def _is_card(match: re.Match[str]) -> bool:
    """Whether the digits have a card's check sum (Luhn)."""
    digits = match[0].translate(_NO_DIGITS)
    total = sum(map(int, digits[-1::-2])) + sum(map(_DOUBLED.__getitem__, digits[-2::-2]))
    return total % 10 == 0 and _stands_alone(match)


def _is_phone(match: re.Match[str]) -> bool:
    return 8 <= len(match[0].translate(_NO_DIGITS)) <= 15 and _stands_alone(match)


def _phone(expression: str, *hints: str) -> Pattern:
    return Pattern("phone", re.compile(expression, re.ASCII), hints, _is_phone)


SECRETS = (
    Pattern(
        "private-key",
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL
        ),
        ("PRIVATE KEY",),
    ),
    Pattern("jwt", re.compile(r"eyJ(?<![\w-]eyJ)[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)*"), ("eyJ",)),
    *map(_key, "-_."),
    Pattern("key", re.compile(r"A(?:KIA|SIA)[A-Z0-9]{16}|AIza[\w-]{35}"), ("AKIA", "ASIA", "AIza")),
    Pattern(
        "bearer",
        re.compile(r"[Bb](?:earer|EARER|asic|ASIC)\s+(?P<secret>(?=[\w.~+/-]*[\d=])[\w.~+/-]{12,}=*)"),
        ("earer ", "EARER ", "asic ", "ASIC "),
    ),
    Pattern("url", re.compile(r"://(?P<secret>[^\s/?#@\"'<>]+)@"), ("://",)),
    *map(_query, "?&"),
    _assigned("=", rf"(?={_QUOTED}[^=\s{_CLOSING}]{{6,}}=*)))"),
    _assigned(":", rf"(?={_QUOTED}{_SCHEME}[^:\s{_CLOSING}]{{6,}})))"),
)
"""Credentials; always removed."""

PERSONAL = {
    "emails": (
        Pattern(
            "email",
            re.compile(r"@(?<=[\w.+-]@)[\w-]{1,63}(?:\.[\w-]{1,63})+"),
            ("@",),
            backwards=re.compile(r"[\w.+-]+"),
        ),
    ),
    "cards": (
        Pattern("card", re.compile(r"[2-6](?<![\w+-][2-6])(?:[ -]?[0-9]){12,18}"), tuple("23456"), _is_card),
    ),
    "phones": (
        _phone(r"\+\d{1,3}[ .-]?(?:\(\d{1,4}\)|\d{1,4})(?:[ .-]?\d{2,4}){1,4}", "+"),
        _phone(r"\(\d{3}\) ?\d{3}[-. ]\d{4}", "("),
        _phone(r"[2-9]\d\d(?P<mark>[-.])\d{3}(?P=mark)\d{4}", "-", "."),
    ),
}
"""Personal data, by the name under which a policy removes it."""

_MARK = re.compile(r"[-_.=:]|AKIA|ASIA|AIza|[Bb](?:earer|EARER|asic|ASIC) ")


def without(patterns: Sequence[Pattern], text: str) -> str:
    """The text without what the patterns find; most texts hold no hint, and finding a string is quick."""
    for pattern in patterns:
        for hint in pattern.hints:
            if hint in text:
                text = pattern.remove_from(text)
                break
    return text


def without_secrets(text: str) -> str:
    """The text without credentials, each of which has one of a few marks in it."""
    return without(SECRETS, text) if _MARK.search(text) else text
