"""Draws a trace as plain HTML: its documents, prompts, answers, tools and events, and links to back ends.

The HTML has no style sheet, script or id. It reads the same where GitHub or nbconvert's sanitiser strip attributes.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import TypeAlias

from otel_callbacks import limits, semconv
from otel_callbacks.explore.evidence.critical import critical_path
from otel_callbacks.explore.evidence.nodes import Step, nodes_of
from otel_callbacks.explore.pictures import markup
from otel_callbacks.explore.pictures.cells import attribution_labels, failure_text, summary, title
from otel_callbacks.explore.pictures.formatting import format_duration, plural
from otel_callbacks.explore.pictures.links import trace_links
from otel_callbacks.explore.pictures.monospace import fit, fit_ends, table, width
from otel_callbacks.explore.pictures.recorded import (
    Piece,
    answering_calls,
    conversations,
    events,
    judgement,
    other_messages,
    texts,
)
from otel_callbacks.explore.pictures.svg import render_svg
from otel_callbacks.explore.spans.content import named_json_objects
from otel_callbacks.explore.spans.documents import RetrievedDocument
from otel_callbacks.explore.spans.tree import SpanTree
from otel_callbacks.runtime.untrusted_text import printable

_Show: TypeAlias = Callable[[Sequence[Piece]], str]

_STEP = 40  # columns of the name of a step
_WIDEST = 100  # columns of a table: a notebook of usual width would break wider lines
_SOURCE, _LEAST_SOURCE = 36, 12  # columns of where a document comes from
_SCORE_BAR = 10  # characters of a full score bar
_DOCUMENT_HEADS = ("rank", "was", "", "score", "document", "source", "size", "kept", "in the prompt", "cited")
_HOW_TO_RECORD = (
    'content not captured: <code>OTelCallbackHandler(content="spans")</code> or '
    "<code>OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY</code> records prompts and answers"
)


def render_html(
    trace: SpanTree,
    excerpt: int = limits.EXCERPT_CHARACTERS,
    *,
    below_picture: bool = False,
    folded: bool = False,
) -> str:
    """Returns `trace` as an HTML fragment, which is complete with or without the picture of the trace.

    It shows the first `excerpt` characters of each recorded text. With `below_picture` it leaves out the header, which
    the picture has; with `folded`, for a page of our own, a click opens a long text.
    """
    show = partial(markup.conversation, limit=excerpt, folded=folded)
    parts = [
        *(_links(trace) if below_picture else [_header(trace)]),
        *_critical_path(trace),
        *_errors(trace),
        *_evaluations(trace, show),
        *_documents(trace, show, limits.HTML_DOCUMENTS if folded else limits.HTML_DOCUMENT_TEXTS),
        *_conversations(trace, show),
        *_others(trace, show),
        *_tools(trace),
    ]
    return "<div>\n" + "\n".join(parts) + "\n</div>\n"


def page(trace: SpanTree) -> str:
    """Returns `trace` as a complete HTML document: the picture, then the rest."""
    rest = render_html(trace, limits.PAGE_EXCERPT_CHARACTERS, below_picture=True, folded=True)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{markup.cut_text(title(trace))}</title>\n<style>{_PAGE_STYLE}</style>\n</head>\n<body>\n"
        f"{render_svg(trace)}\n{rest}</body>\n</html>\n"
    )


_PAGE_STYLE = (
    "svg{display:block;margin-bottom:16px}"
    "body{font:14px/1.5 system-ui,sans-serif;color:#1f2328;background:#fff;max-width:900px;margin:24px auto}"
    "details{margin:4px 0 16px}pre{margin:4px 0 16px;overflow:auto;font:12px/1.5 ui-monospace,monospace}"
    "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}a{color:#4493f8}}"
)


def _header(trace: SpanTree) -> str:
    labels = [f"{name} {value}" for name, value in attribution_labels(trace)]
    facts = " · ".join(markup.cut_text(fact) for fact in (*summary(trace), *labels))
    links = "".join(f" · {each}" for each in _links(trace))
    name, shown_id = markup.cut_text(title(trace)), markup.cut_text(trace.trace_id)
    return markup.line(f"<b>{name}</b> · {facts} · trace <code>{shown_id}</code>{links}")


def _links(trace: SpanTree) -> list[str]:
    return [markup.link(label, address) for label, address in trace_links(trace)]


def _critical_path(trace: SpanTree) -> Iterator[str]:
    """Yields what held the trace up, the longest first, if that was more than one thing."""
    nodes = nodes_of(trace)
    times: Counter[Step] = Counter()
    for segment in critical_path(nodes):
        times[nodes[segment.node].step_of_own_time] += segment.end - segment.start
    if len(times) < 2:
        return
    shown = [
        f"{fit(printable(str(step)), _STEP)} {format_duration(time / 1e9)} ({time / times.total():.0%})"
        for step, time in times.most_common(limits.WHY_ROWS)
    ]
    if (more := len(times) - limits.WHY_ROWS) > 0:
        shown.append(f"… {plural(more, 'more step')}")
    yield markup.line(
        f"On the critical path: {markup.cut_text(' · '.join(shown), limits.EXCERPT_CHARACTERS)}"
    )


def _errors(trace: SpanTree) -> Iterator[str]:
    for span in trace.errors[: limits.HTML_SPANS]:
        failure = markup.cut_text(failure_text(span, at_origin=True), limits.EXCERPT_CHARACTERS)
        yield markup.line(f"{failure} · {markup.cut_text(span.name)}")
    yield from _more(trace.errors, "error")


def _evaluations(trace: SpanTree, show: _Show) -> Iterator[str]:
    """Yields what users and evaluators said, the latest first."""
    names = {span.span_id: span.name for span in trace.spans}
    for evaluation in trace.evaluations[: -limits.HTML_SPANS - 1 : -1]:
        said, why = judgement(evaluation)
        about = f" · {markup.cut_text(names[evaluation.span_id])}" if evaluation.span_id in names else ""
        yield markup.line(f"<b>{markup.cut_text(said)}</b>{about}")
        if why:
            yield show([("explanation", why)])
    yield from _more(trace.evaluations, "earlier evaluation")


def _documents(trace: SpanTree, show: _Show, texts_shown: int) -> Iterator[str]:
    names = {span.span_id: span.name for span in trace.spans}
    by_span = [
        (span_id, list(found)) for span_id, found in groupby(trace.documents(), key=lambda d: d.span_id)
    ]
    for span_id, found in by_span[: limits.HTML_SPANS]:
        by = f" by {markup.cut_text(found[0].score_kind)}" if found[0].score_kind else ""
        query = f" for <i>{markup.cut_text(found[0].query)}</i>" if found[0].query else ""
        yield markup.line(
            f"<b>{markup.cut_text(names[span_id])}</b> · {plural(len(found), 'document')}{by}{query}"
        )
        yield _document_table(found)
        yield from _more(found, "document", limits.HTML_DOCUMENTS)
        if long := [
            (f"{each.rank}. {each.key}", each.text)
            for each in found[: limits.HTML_DOCUMENTS]
            if each.text and len(each.text) > markup.BELOW_CHARACTERS
        ]:
            yield show(long[:texts_shown])
            yield from _more(long, "text", texts_shown)
    yield from _more(by_span, "retrieval")


def _document_table(found: Sequence[RetrievedDocument]) -> str:
    rows = _document_rows(found, _SOURCE)
    widest = max(map(width, table([_DOCUMENT_HEADS, *rows])))
    if widest > _WIDEST:
        longest = max(width(_source(each, _SOURCE)) for each in found[: limits.HTML_DOCUMENTS])
        rows = _document_rows(found, max(_LEAST_SOURCE, longest - (widest - _WIDEST)))
    return markup.table([_DOCUMENT_HEADS, *rows], [document.text or "" for document in found])


def _document_rows(found: Sequence[RetrievedDocument], source_columns: int) -> list[tuple[str, ...]]:
    best = best_score(found)
    return [
        (
            f"{document.rank}",
            f"{document.rank_before or ''}",
            "" if document.score is None else score_bar(document, best),
            "" if document.score is None else f"{document.score:.3f}",
            fit_ends(printable(document.id or ""), 24),
            _source(document, source_columns),
            "" if document.size is None else f"{document.size:,}",
            _mark(document.kept),
            _mark(document.in_prompt),
            _mark(document.cited),
        )
        for document in found[: limits.HTML_DOCUMENTS]
    ]


def score_bar(document: RetrievedDocument, best: float) -> str:
    """Returns a bar of block characters, as long as `score_share`."""
    full = round(_SCORE_BAR * score_share(document, best))
    return "█" * full + "░" * (_SCORE_BAR - full)


def score_share(document: RetrievedDocument, best: float) -> float:
    """Returns the score's share of 1, or of the `best` score if that is above 1; from 0 to 1."""
    score = document.score or 0.0
    share = score / max(1.0, best)
    if document.score_kind == "distance":
        share = best / score if score > best else 1.0
    return min(1.0, max(0.0, share))


def best_score(found: Sequence[RetrievedDocument]) -> float:
    """Returns the best score of documents that were found together; 0 if none has a score."""
    scores = [document.score for document in found if document.score is not None]
    if not scores:
        return 0.0
    return min(scores) if found[0].score_kind == "distance" else max(scores)


def _source(document: RetrievedDocument, columns: int) -> str:
    page, chunk = document.page and f"p. {document.page}", document.chunk and f"#{document.chunk}"
    return fit_ends(printable(" ".join(filter(None, (document.source, page, chunk)))), columns)


def _mark(yes: bool | None) -> str:
    return "" if yes is None else "✓" if yes else "–"


def _conversations(trace: SpanTree, show: _Show) -> Iterator[str]:
    """Yields the messages of the model calls, each message where it first appears, then those of other spans."""
    found = list(conversations(trace))
    if not found and answering_calls(trace):
        yield markup.line(f"<i>{_HOW_TO_RECORD}</i>")
    for span, earlier, pieces in found[: limits.HTML_SPANS]:
        left_out = max(0, len(pieces) - limits.HTML_MESSAGES)
        before = f" · {plural(earlier + left_out, 'message')} before" * bool(earlier + left_out)
        yield markup.line(f"<b>{markup.cut_text(span.name)}</b>{before}")
        yield show(pieces[left_out:])
    yield from _more(found, "model call")
    others = list(other_messages(trace))
    for span, pieces in others[: limits.HTML_SPANS]:
        yield markup.line(f"<b>{markup.cut_text(span.name)}</b>")
        yield show(pieces[-limits.HTML_MESSAGES :])
    yield from _more(others, "span with messages")


def _others(trace: SpanTree, show: _Show) -> Iterator[str]:
    """Yields the arguments and results of tools, the queries that no document table shows, and events."""
    queried = {document.span_id for document in trace.documents()}
    found = [
        (span, pieces)
        for span in trace.walk()
        if (pieces := [*(() if span.span_id in queried else texts(span)), *events(span)])
    ]
    for span, pieces in found[: limits.HTML_SPANS]:
        yield markup.line(f"<b>{markup.cut_text(span.name)}</b>")
        yield show(pieces[: limits.HTML_MESSAGES])
        yield from _more(pieces, "text", limits.HTML_MESSAGES)
    yield from _more(found, "span with texts or events")


def _tools(trace: SpanTree) -> Iterator[str]:
    """Yields a table of the input tokens spent on tools for each agent."""
    for span in trace.spans:
        if used := named_json_objects(span, semconv.ROLLUP_TOOLS):
            heads = list(dict.fromkeys(name for use in used.values() for name in use))
            rows = [[_cell(tool), *(_cell(use.get(name)) for name in heads)] for tool, use in used.items()]
            yield markup.line(f"<b>{markup.cut_text(span.name)}</b> · input tokens spent on tools")
            yield markup.table([["tool", *(_cell(name.replace("_", " ")) for name in heads)], *rows])


def _cell(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return "" if value is None else fit(printable(str(value)), 40)


def _more(all_of: Sequence[object], noun: str, shown: int = limits.HTML_SPANS) -> list[str]:
    return [markup.line(f"… {plural(len(all_of) - shown, f'more {noun}')}")] if len(all_of) > shown else []
