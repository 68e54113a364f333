"""One sentence for each finding of `why`."""

from collections.abc import Callable, Iterator, Sequence

from otel_callbacks.explore.causes.contributions import Contribution
from otel_callbacks.explore.causes.expensive import Expensive, ExpensiveStep
from otel_callbacks.explore.causes.failing import Failing, FailingStep
from otel_callbacks.explore.causes.in_common import Common, InCommon
from otel_callbacks.explore.causes.misses import Misses
from otel_callbacks.explore.causes.slow import Slow, SlowStep
from otel_callbacks.explore.evidence.nodes import Step
from otel_callbacks.explore.evidence.spending import MISS_REASONS
from otel_callbacks.explore.pictures.formatting import format_cost, format_duration, plural
from otel_callbacks.limits import WHY_EXAMPLES, WHY_ROWS
from otel_callbacks.runtime.untrusted_text import printable

_ID_DIGITS = 8  # enough for `view --trace`
_LONG = 3.0  # times the usual length of a call
_PARTS = 4  # of one sentence
_NAME = 20  # characters of a role
_NOTHING = 0.005  # of what a step adds
_LOOP = 1.5  # times as many calls


def named(step: Step) -> str:
    """Returns a kind of step as people call it."""
    return printable(str(step))


def slow_head(slow: Slow) -> str:
    """Says which runs are compared, and whether they are slower than ordinary variation makes them."""
    found = slow.difference
    head = (
        f"Slow: {plural(len(slow.groups.tail), 'run')} of {format_duration(slow.groups.begins)} or more took "
        f"{format_duration(found.tail)} on average, the usual run (the middle half) {format_duration(found.usual)}."
    )
    return (
        f"{head} {_verdict(slow.too_few, found.stands_out, format_duration(found.ordinary), 'slow')}".strip()
    )


def _verdict(too_few: str | None, stands_out: bool, ordinary: str, word: str) -> str:
    if too_few:
        return f"What differs is below; {too_few}."
    if stands_out:
        return ""
    return (
        f"Nothing stands out: from how the other runs vary one would expect {ordinary} in this tail, "
        f"so no step is said to make runs {word}."
    )


def changed_head(what: str, compared: Slow | Expensive, shown: Callable[[float], str]) -> str:
    """Says how the means of two groups differ."""
    found = compared.difference
    sign = "+" if found.added >= 0 else "−"
    share = f", {sign}{abs(found.added) / found.usual:.0%}" if found.usual else ""
    difference = f"{sign}{shown(abs(found.added))}{share}"
    if abs(found.added) < 0.005 * found.usual:
        difference = "about the same"
    head = f"{what}: {shown(found.usual)} on average before, {shown(found.tail)} after ({difference})"
    if isinstance(compared, Slow):
        head += "; p95 {} before, {} after".format(*map(format_duration, compared.quantiles))
    if compared.too_few:
        return f"{head}. {compared.too_few[0].upper()}{compared.too_few[1:]}."
    return head + ("." if found.stands_out else ". No step differs for certain.")


def slow_line(place: int, each: SlowStep, slow: Slow, *, is_change: bool) -> str:
    """Says what one kind of step adds, and how."""
    own = each.contribution
    parts = [_first_words(own, slow.difference.added, is_change=is_change, word="slow runs slow")]
    parts[0] += f": {format_duration(own.tail)} on the critical path instead of {format_duration(own.usual)}"
    if own.step.kind != "gaps":
        parts.append(_calls(*each.all_calls))
        parts.append(_ends(each))
        parts.append(_split(own, format_duration, "longer", _which_calls(each)))
    if each.waited_in:
        parts.append(f"the graph waited for {printable(each.waited_in[0])} in step {each.waited_in[1]}")
    parts += _what_it_was(each, own)
    if not each.is_certain:
        parts.append(
            f"not certain: other steps overlap, and by Jaeger's rule it adds {format_duration(abs(each.by_jaeger))}"
        )
    if own.is_reason and slow.tail:
        parts.append(_saved(each, slow.tail.told_quantile))
    return f"{place}. " + "; ".join(filter(None, parts)) + f" · see {_ids(each.examples)}"


def _first_words(own: Contribution, added: float, *, is_change: bool, word: str) -> str:
    if is_change:
        sure = "" if own.is_reason else " (not certain)"
        return f"{named(own.step)}{sure}"
    certain = (
        f" ({own.low / added:.0%} to {own.high / added:.0%})"
        if own.low is not None and own.high is not None and added
        else ""
    )
    return f"{named(own.step)}: {own.share:.0%} of what makes {word}{certain}"


def _calls(now: float, usual: float) -> str:
    told = f"{_count(now)} {'call' if _count(now) == '1' else 'calls'}"
    return told if _count(now) == _count(usual) else f"{told} instead of {_count(usual)}"


def _count(number: float) -> str:
    return f"{number:,.0f}" if abs(number - round(number)) < 0.05 else f"{number:,.1f}"


def _ends(each: SlowStep) -> str:
    own = each.contribution
    longest = format_duration(each.longest)
    now, usual = (f"{number:,.1f}" for number in each.retries)
    retried = f"{now} retries per run instead of {usual}, " if now != usual else ""
    if each.failed:
        return f"{retried}{plural(each.failed, 'call')} failed, longest {longest}"
    is_long = own.is_reason and own.usual_length and each.longest > _LONG * own.usual_length
    no_limit = ": no time-out seen" if is_long and own.by_length > own.by_calls else ""
    return f"{retried}never failed, longest {longest}{no_limit}"


def _split(own: Contribution, shown: Callable[[float], str], longer: str, which: str = "") -> str:
    """Says what more calls and longer calls add, which adds up to what the step adds; nothing if only one of them does.

    `which` says what kind of calls there are more of.
    """
    calls, length = own.by_calls, own.by_length
    if min(abs(calls), abs(length)) < _NOTHING * abs(own.added):
        return ""
    lengths = f"{_signed(length, shown)} by {longer if length > 0 else _OPPOSITE[longer]} calls"
    return f"{lengths}, {_signed(calls, shown)} by {'more' if calls > 0 else 'fewer'}{which}"


def _which_calls(each: SlowStep) -> str:
    """Says that there are more calls on the path, such as beside a sibling that is faster, where there are not more."""
    on_path = each.contribution.tail_calls - each.contribution.usual_calls
    made = each.all_calls[0] - each.all_calls[1]
    return "" if made * on_path > 0 and abs(made) >= abs(on_path) / 2 else " of them on the path"


_OPPOSITE = {"longer": "shorter", "dearer": "cheaper"}


def _signed(value: float, shown: Callable[[float], str]) -> str:
    return ("+" if value >= 0 else "−") + shown(abs(value))


def _what_it_was(each: SlowStep, own: Contribution) -> Iterator[str]:
    """Yields what the time was: parts of a stream, spans inside a tool, the places of gaps."""
    told = [(name, seconds) for name, seconds in each.parts if seconds >= 0.05 * own.tail]
    if told and (len(told) > 1 or own.step.kind == "gaps" or told[0][0].startswith("in ")):
        yield ", ".join(f"{format_duration(seconds)} {printable(name)}" for name, seconds in told)
    if each.gap > 0.25 * own.tail_length and each.gap > 1:
        yield f"of it up to {format_duration(each.gap)} between two chunks: the provider or the consumer"


def _saved(each: SlowStep, quantile: str) -> str:
    own = each.contribution
    if each.saved < 0.6 * own.tail and each.beside:
        beside = named(each.beside)
        text = f"without it {format_duration(each.saved)} less, because {beside} runs beside it"
    else:
        text = f"without it {format_duration(each.saved)} less"
    if each.what_if:
        limit = each.what_if
        before, after = format_duration(limit.quantile_before), format_duration(limit.quantile_after)
        falls = f", and {quantile} falls from {before} to {after}" if after != before else ""
        text += (
            f"; with a time-out of {format_duration(limit.seconds)} (it would cut {limit.cut_calls:,} of "
            f"{plural(limit.calls, 'call')}) they take {format_duration(limit.tail_after)}{falls}"
        )
    return text


def loop_note(slow: Slow) -> list[str]:
    """Says if the model and a tool take turns more often: the agent loops."""
    more = [
        each
        for each in slow.steps
        if each.contribution.by_calls > max(0.0, each.contribution.by_length)
        and each.all_calls[0] >= _LOOP * each.all_calls[1] > 0
    ]
    models = [each for each in more if each.contribution.step.kind == "model" and each.contribution.is_reason]
    tools = [each for each in more if each.contribution.step.kind == "tool"]
    if not models or not tools:
        return []
    turns = " and ".join(
        f"{named(each.contribution.step)} {_count(each.all_calls[0])} times instead of {_count(each.all_calls[1])}"
        for each in (models[0], tools[0])
    )
    return [f"The agent loops: it calls {turns}."]


def order_note(shown: Sequence[Contribution]) -> list[str]:
    """Says if the order of the first two is not certain, because their intervals overlap."""
    if len(shown) < 2:
        return []
    first, second = shown[:2]
    if first.low is None or second.high is None or first.low > second.high or first.added < 0:
        return []
    return ["The order of 1 and 2 is not certain: their intervals overlap."]


def expensive_head(expensive: Expensive, *, is_change: bool) -> str:
    """Says which runs are compared, and whether they cost more than ordinary variation makes them."""
    if is_change:
        head = changed_head("Cost", expensive, format_cost)
    else:
        found = expensive.difference
        if not found.added:
            return (
                f"Expensive: no run costs much more than the others: {format_cost(found.usual)} on average."
            )
        verdict = _verdict(expensive.too_few, found.stands_out, format_cost(found.ordinary), "expensive")
        head = (
            f"Expensive: {plural(len(expensive.groups.tail), 'run')} of {format_cost(expensive.groups.begins)} or more "
            f"cost {format_cost(found.tail)} on average, the usual run {format_cost(found.usual)}. {verdict}"
        ).strip()
    if expensive.unpriced:
        head += f" {plural(expensive.unpriced, 'run')} left out: the price of a call is not known."
    return head


def expensive_line(place: int, each: ExpensiveStep, *, is_change: bool) -> str:
    """Says what one kind of step adds to the cost."""
    own = each.contribution
    added = own.added / own.share if own.share else 0.0
    parts = [_first_words(own, added, is_change=is_change, word="expensive runs expensive")]
    parts[0] += f": {format_cost(own.tail)} instead of {format_cost(own.usual)}"
    parts.append(_calls(own.tail_calls, own.usual_calls))
    parts.append(_split(own, format_cost, "dearer"))
    changed = [
        f"{part} {format_cost(now)} instead of {format_cost(usual)}"
        for part, now, usual in each.parts[:_PARTS]
        if abs(now - usual) >= 0.05 * abs(own.added)
    ]
    parts.append(", ".join(changed))
    return f"{place}. " + "; ".join(filter(None, parts)) + f" · see {_ids(each.examples)}"


def token_lines(expensive: Expensive, *, is_change: bool) -> list[str]:
    """Says what the input tokens were: results of tools, what was sent again, what no cache supplied."""
    tokens = expensive.tokens
    if tokens is None:
        return []
    lines = []
    now, usual = ("after", "before") if is_change else ("in expensive runs", "in usual ones")
    if tokens.result_share >= 0.01:
        tools = list(dict.fromkeys(each.tool for each in tokens.kinds if each.kind.startswith("result")))
        sizes = {(each.tool, each.kind): each for each in tokens.kinds}
        told = []
        for tool in tools[:_PARTS]:
            once, again = sizes.get((tool, "result")), sizes.get((tool, "result sent again"))
            told.append(
                f"{printable(tool)} {once.usual if once else 0:,.0f} once and {again.usual if again else 0:,.0f} again"
                f" ({once.tail if once else 0:,.0f} and {again.tail if again else 0:,.0f} {now})"
            )
        share = f"{tokens.result_share:.0%} of input tokens" + (" after" if is_change else "")
        lines.append(f"Results of tools are {share} (estimated): per run {usual}, " + "; ".join(told))
    if tokens.resent[0] >= 1 or tokens.resent[1] >= 1:
        sent = (
            f"Sent again by the next model call (estimated): {tokens.resent[0]:,.0f} tokens per run {now}, "
        )
        lines.append(f"{sent}{tokens.resent[1]:,.0f} {usual}")
        if not any(tokens.reusable):  # else the handler has compared the prompts, which is surer
            missed = f"{tokens.missed[0]:,.0f} and {tokens.missed[1]:,.0f}"
            lines[-1] += f"; of them not from the provider's cache: {missed}"
    if any(max(each[2:]) >= 1 for each in tokens.unread):
        told = []
        for reason, changed, tail, others in tokens.unread[:_PARTS]:
            first = f", first in {printable(changed)[:_NAME]}" if changed else ""
            told.append(f"{tail:,.0f} {now} and {others:,.0f} {usual} {MISS_REASONS[reason]}{first}")
        lines.append(
            f"The provider's cache could have supplied (estimated) {tokens.reusable[0]:,.0f} tokens per run {now}, "
            f"{tokens.reusable[1]:,.0f} {usual}; it missed " + "; ".join(told)
        )
    if tokens.retried[0] >= 0.05 or tokens.retried[1] >= 0.05:
        lines.append(f"Retries per run: {tokens.retried[0]:.1f} {now}, {tokens.retried[1]:.1f} {usual}")
    return lines


def failing_head(failing: Failing | None, before: Failing | None) -> str:
    """Says how many runs failed."""
    if failing is None:
        return ""
    head = f"Failing: {failing.failed:,} of {plural(failing.runs, 'run')} ({_percent(failing.share)})"
    if before is not None:
        head += f", {before.failed:,} of {before.runs:,} before ({_percent(before.share)})"
    return f"{head}."


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.0995 or not share else f"{share:.1%}"


def failing_line(place: int, each: FailingStep) -> str:
    """Says how many failures began in one kind of step."""
    types = ", ".join(f"{count:,} {printable(name)}" for name, count in each.error_types[:_PARTS])
    text = f"{place}. {named(each.step)}: {each.runs:,} of them began here ({types})"
    if each.calls:
        text += f"; {each.failed_calls:,} of {plural(each.calls, 'call')} failed"
    if each.survived:
        text += f", and {plural(each.survived, 'run')} went on after one"
    if each.is_reason:
        text += "; it fails more often than the other steps"
    return f"{text} · see {_ids(each.examples)}"


def missed_lines(misses: Misses) -> list[str]:
    """Says in how many runs the retrievals missed, and by which data source."""
    total = sum(misses.missed.values())
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in misses.missed.items())
    head = f"Retrieval: {total:,} of {plural(misses.runs, 'run')} missed" + (f" ({kinds})" if kinds else "")
    lows = [f"{low:.3g} where {usual:.3g} is usual" for usual, low in misses.scales.values()]
    if "low score" in misses.missed and lows:
        head += f"; a score is low from {', '.join(lows)}"
    lines = [f"{head}."]
    for each in misses.sources:
        if each.missed:
            told = ", ".join(f"{count:,} {kind}" for kind, count in each.misses.items())
            best = "" if each.best is None else f", usually best {each.best:.3g}"
            lines.append(
                f"{printable(each.name)}: {each.missed:,} of {plural(each.runs, 'run')} ({told}){best} "
                f"· see {_ids(each.examples)}"
            )
    lines += [f"asked: {printable(query)[:120]}" for query in misses.queries]
    return lines


def common_lines(common: InCommon | None, word: str, *, is_told: bool = False) -> list[str]:
    """Says what the runs asked about have in common; `is_told` if it has been said already that they are too few."""
    if common is None:
        return []
    if common.too_few:
        return [] if is_told else [f"In common: {common.too_few}."]
    lines = []
    # A result that adds nothing beside another fact is a detail of it; the JSON has it.
    told = [each for each in common.facts if each.fact.at_start or not each.goes_with]
    for each in told[:WHY_ROWS]:
        kind = "known at the start" if each.fact.at_start else "a result"
        text = (
            f"In common: {printable(str(each.fact))}: {each.inside:,} of {each.inside_runs:,} {word} runs, "
            f"{each.outside:,} of {each.outside_runs:,} others; {_times(each)} times as often {word}; {kind}"
        )
        if each.goes_with:
            text += f"; adds nothing beside {printable(str(each.goes_with))}"
        lines.append(f"{text} · see {_ids(each.examples)}")
    if (more := len(told) - WHY_ROWS) > 0:
        lines.append(f"… {plural(more, 'more fact')} in common")
    return lines


def _times(each: Common) -> str:
    if each.inside == each.inside_runs:  # no other run is one of those, so there is no telling how often
        return f"at least {each.low:.1f}"
    return f"{each.low:.1f} to {each.high:.1f}"


def _ids(examples: Sequence[str]) -> str:
    return ", ".join(printable(each[:_ID_DIGITS]) for each in examples[:WHY_EXAMPLES]) or "no trace"
