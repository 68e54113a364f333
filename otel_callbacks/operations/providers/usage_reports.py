"""Usage reports: which counts include others. A provider's rule is one row of `_RULES`.

In `Usage` the totals include everything. Whether a report's input includes the cache, and its output the reasoning, is
known of each provider, and of each API format where several providers share one. It is checked against the total that
the report states: a total that fits no reading makes the usage contradictory, and the call has no price.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from otel_callbacks.limits import TOKENS_OF_A_CALL, USAGE_REPORTS_READ
from otel_callbacks.operations.payload import mapping_or_fields
from otel_callbacks.operations.providers.endpoints import who_answers
from otel_callbacks.operations.providers.usage_counts import BY_MODALITY, Counts, read_counts
from otel_callbacks.operations.usage import TOKEN_COUNTS, Usage

Place = Literal["inside", "beside", "mostly_inside", "mostly_beside"]
"""Where a part is: inside the count it belongs to, or beside it; `mostly`, unless the report's total says otherwise."""


class _Rule(NamedTuple):
    """Where a provider's own reports count the cache, and the reasoning.

    `apart` means that the report's total leaves out the reasoning that is beside the output.
    """

    cache: Place = "inside"
    reasoning: Place = "inside"
    apart: bool = False


_INSIDE = _Rule()
_RULES = {
    "openai": _INSIDE,
    "azure.ai.openai": _INSIDE,
    "deepseek": _INSIDE,
    "groq": _INSIDE,
    "mistral_ai": _INSIDE,
    "moonshot_ai": _INSIDE,
    "openrouter": _INSIDE,
    "ollama": _INSIDE,
    "anthropic": _Rule(
        cache="mostly_beside"
    ),  # its own reports have no total; imitations of OpenAI's have one
    "aws.bedrock": _Rule(cache="beside"),
    "x_ai": _Rule(reasoning="mostly_beside"),
    "perplexity": _Rule(reasoning="beside", apart=True),
}
_UNKNOWN = _Rule(cache="mostly_inside", reasoning="mostly_inside")

_BY_MODALITY = {name for names in BY_MODALITY.values() for name in names}
_MESSAGES_FORMAT = {"cache_read_input_tokens", "cache_creation_input_tokens"}
"""Anthropic's format, which other clouds serve too: both are beside `input_tokens`."""
_IN_NORMAL_FORM = {
    "prompt_tokens": "",
    "completion_tokens": "",
    "total_tokens": "",
    "prompt_tokens_details": "input_token_details",
    "completion_tokens_details": "output_token_details",
}
"""What LangChain brings into its normal form of a chat's usage, and where the details go."""
_DETAILS_IN_NORMAL_FORM = {
    *("cached_tokens", "audio_tokens", "reasoning_tokens"),
    *("accepted_prediction_tokens", "rejected_prediction_tokens"),
}
_ALL_BUT_OUTPUT = ("input", "tool_results", "thoughts")
_CONVERSE_FORMAT = {"cacheReadInputTokens", "cacheWriteInputTokens"}


def read_usage(
    reported: Any, provider: str | None = None, host: str | None = None, *, normal: bool = False
) -> Usage | None:
    """Reads a usage report, a mapping or an object, in any known spelling.

    Args:
        reported: the report.
        provider: who made it, by the conventions' name; if that is not known, the report's format decides.
        host: the server's address.
        normal: whether LangChain has brought the report into its normal form, which counts everything inside.

    Returns:
        The usage; None if the report has neither input nor output tokens, or only zeros.
    """
    report = mapping_or_fields(reported)
    if not report:
        return None
    if (plain := _plain_usage(report)) is not None:
        return plain
    counts = read_counts(report)
    if not counts.get("input") and not counts.get("output"):
        return None
    total, usual = counts.get("total"), None
    if "output" not in counts and total == sum(counts.get(name, 0) for name in _ALL_BUT_OUTPUT):
        counts["output"] = (
            0  # Google leaves out a zero: all that it may write was thoughts, or the prompt was refused
        )
    for reading in _readings(counts, _rule(provider, host, report), normal):
        if reading.fits(total):
            return _usage(counts, reading)
        usual = usual or reading
    return usual and replace(_usage(counts, usual), contradictory=True)


_PLAIN = (
    ("input_tokens", "output_tokens", "total_tokens"),
    ("prompt_tokens", "completion_tokens", "total_tokens"),
)
_PLAIN_KEYS = {frozenset(keys): names for names in _PLAIN for keys in (names, names[:2])}


def _plain_usage(report: Mapping[str, Any]) -> Usage | None:
    """Returns the usage in a report of two counts, or three that add up, the quick way for most calls; else None."""
    names = _PLAIN_KEYS.get(frozenset(report)) if len(report) <= 3 else None
    if names is None:
        return None
    sent, received, total = map(report.get, names)
    if type(sent) is int is type(received) and sent >= 0 <= received:
        adds_up = total is None or total == sent + received
        if adds_up and 0 < sent + received < TOKENS_OF_A_CALL:
            return Usage(input_tokens=sent, output_tokens=received)
    return None


def read_embedding_usage(reported: Any) -> Usage | None:
    """Reads the usage of texts that were embedded or ranked: all tokens are input, and some report only a total."""
    counts = read_counts(mapping_or_fields(reported))
    sent = counts.get("input") or counts.get("total")
    return Usage(input_tokens=sent) if sent else None


def first_usage(
    reports: list[Any], provider: str | None = None, host: str | None = None, *, normal: Any = None
) -> Usage | None:
    """Returns the usage in the first report that has one, with the details that only later reports have.

    LangChain's `normal` form comes first. A later report with other totals is about something else.
    """
    found = read_usage(normal, provider, host, normal=True)
    read: list[int] = []
    for report in reports:
        if id(report) in read:  # integrations put the same report into several places
            continue
        if len(read) >= USAGE_REPORTS_READ:
            break
        read.append(id(report))
        if found is not None and _adds_nothing(report, normal):
            continue
        other = read_usage(report, provider, host)
        if other is not None:
            found = other if found is None else _completed(found, other)
    return found


def _adds_nothing(report: Any, normal: Any) -> bool:
    """Tells whether LangChain's normal form has all of a report: the quick way for most calls."""
    counts, known = mapping_or_fields(report), mapping_or_fields(normal)
    return counts.keys() <= _IN_NORMAL_FORM.keys() and all(
        not (details := mapping_or_fields(counts.get(key)))
        or (known.get(form) is not None and details.keys() <= _DETAILS_IN_NORMAL_FORM)
        for key, form in _IN_NORMAL_FORM.items()
        if form
    )


def _completed(usage: Usage, other: Usage) -> Usage:
    thoughts = other.reasoning_output_tokens
    if thoughts and usage.output_tokens == (other.output_tokens or 0) - thoughts:
        return _completed(
            replace(usage, output_tokens=other.output_tokens), other
        )  # they are beside, in the report
    if (usage.input_tokens, usage.output_tokens) != (other.input_tokens, other.output_tokens):
        return usage
    missing = {
        name: count
        for name in TOKEN_COUNTS
        if getattr(usage, name) is None and (count := getattr(other, name)) is not None
    }
    contradictory = usage.contradictory or other.contradictory
    reported = usage.cache_reported or other.cache_reported
    if not missing and not contradictory and reported == usage.cache_reported:
        return usage
    return replace(usage, contradictory=contradictory, cache_reported=reported, **missing)


def _rule(provider: str | None, host: str | None, report: Mapping[str, Any]) -> _Rule:
    name = who_answers(provider, host)
    if name == "openai" and host is not None and not host.endswith("openai.com"):
        name = None  # somebody who imitates OpenAI
    if name in _RULES:
        return _RULES[name]
    keys = report.keys()
    if not keys.isdisjoint(_CONVERSE_FORMAT):
        return _RULES["aws.bedrock"]
    if "input_tokens" in keys and not keys.isdisjoint(_MESSAGES_FORMAT):
        return _RULES["anthropic"]
    return _UNKNOWN


class _Reading(NamedTuple):
    """One way to understand a report: input and output with everything in it, and the total that this would give."""

    input: int | None
    output: int | None
    total: int

    def fits(self, total: int | None) -> bool:
        """Tells whether the reading agrees with the report's total; a report without one agrees with all."""
        return not total or self.input is None or self.output is None or self.total == total


def _readings(counts: Counts, rule: _Rule, normal: bool) -> Iterator[_Reading]:
    """Yields the ways in which a report may be understood, the usual one first."""
    cached, reasoning = counts.get("cache_read", 0) + _written(counts), counts.get("reasoning", 0)
    sent, received = counts.get("input"), counts.get("output")
    sent_beside, received_beside = (
        counts.get("tool_results", 0),
        counts.get("thoughts", 0),
    )  # Google's, always
    for cached_place in _places(rule.cache, normal) if cached else ("inside",):
        for place in _places(rule.reasoning, normal and not rule.apart) if reasoning else ("inside",):
            into = sent_beside + (cached if cached_place == "beside" else 0)
            out_of = received_beside + (reasoning if place == "beside" else 0)
            apart = reasoning if rule.apart and place == "beside" else 0
            with_all = (
                None if sent is None else sent + into,
                None if received is None else received + out_of,
                (sent or 0) + into + (received or 0) + out_of - apart,
            )
            yield tuple.__new__(_Reading, with_all)  # its own constructor takes longer


def _places(place: Place, normal: bool) -> Sequence[Place]:
    """Returns where a part may be, the likelier place first. LangChain's normal form should have it inside."""
    if place == "mostly_inside" or (normal and place != "inside"):
        return "inside", "beside"
    return ("beside", "inside") if place == "mostly_beside" else (place,)


def _written(counts: Counts) -> int:
    """Returns the tokens written to the cache. LangChain splits them by lifetime and reports the sum as 0."""
    by_lifetime = counts.get("cache_write_5m", 0) + counts.get("cache_write_1h", 0)
    return by_lifetime or counts.get("cache_write", 0)


def _usage(counts: Counts, reading: _Reading) -> Usage:
    """Returns the usage. Parts that are larger than their total are left out, and make it contradictory."""
    sent, received = reading.input, reading.output
    read, written = counts.get("cache_read"), _written(counts)
    for_an_hour = counts.get("cache_write_1h", 0 if "cache_write_5m" in counts else None)
    thoughts = counts.get("reasoning") or counts.get("thoughts")
    contradictory = False
    if sent is not None and (read or 0) + written > sent:
        contradictory, read, written, for_an_hour = True, None, 0, None
    if received is not None and (thoughts or 0) > received:
        contradictory, thoughts = True, None
    parts: dict[str, Any] = {}
    if not _BY_MODALITY.isdisjoint(counts):
        for side, total in (("input", sent), ("output", received), ("cache_read", read)):
            of_side = {name: counts[name] for name in BY_MODALITY[side] if name in counts}
            if total is not None and sum(of_side.values()) > total:
                contradictory = True
            else:
                parts |= of_side
    return Usage(
        input_tokens=sent,
        output_tokens=received,
        cache_read_input_tokens=read or None,
        cache_write_input_tokens=written or None,
        cache_write_1h_input_tokens=for_an_hour,
        reasoning_output_tokens=thoughts or None,
        contradictory=contradictory,
        cache_reported=read is not None,
        **parts,
    )
