"""A trace in plain HTML: its documents, prompts and answers, tools, and where else it can be seen.

No style sheet, script or id; GitHub and nbconvert's sanitiser strip attributes, and it still reads the same.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from otel_callbacks import semconv
from otel_callbacks.explore.pictures import markup
from otel_callbacks.explore.pictures.cells import attribution, failure, summary, title
from otel_callbacks.explore.pictures.columns import fit, fit_ends
from otel_callbacks.explore.pictures.links import links_of
from otel_callbacks.explore.pictures.svg import render_svg
from otel_callbacks.explore.pictures.wording import plural, printable
from otel_callbacks.explore.spans.captured import Said, input_messages, named_objects, output_messages
from otel_callbacks.explore.spans.documents import RetrievedDocument
from otel_callbacks.explore.spans.tree import SpanTree

_MOST_DOCUMENTS = 20  # of one retrieval
_MOST_SPANS = 12  # retrievals, model calls, errors, each
_MOST_MESSAGES = 12  # asked, and answered, in one call
_PAGE_EXCERPT = 20_000  # a page is where people go to read all of it
_BAR = 10  # characters of a full score bar
_DOCUMENT_HEADS = ("rank", "was", "", "score", "document", "source", "size", "kept", "in the prompt", "cited")
_HOW_TO_CAPTURE = (
    'content not captured: <code>OTelCallbackHandler(content="spans")</code> or '
    "<code>OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY</code> records prompts and answers"
)


def render_html(trace: SpanTree, excerpt: int = 600) -> str:
    """`trace` as a fragment of HTML that goes with its picture, and says enough without it.

    Of each prompt and answer that was captured it has `excerpt` characters.
    """
    said = _conversations(trace, excerpt)
    parts = [_header(trace), *_errors(trace), *_documents(trace), *said, *_tools(trace)]
    return "<div>\n" + "\n".join(parts) + "\n</div>\n"


def page(trace: SpanTree) -> str:
    """`trace` as a complete HTML document: the picture, then the rest."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{markup.words(title(trace))}</title>\n<style>{_PAGE_STYLE}</style>\n</head>\n<body>\n"
        f"{render_svg(trace)}\n{render_html(trace, excerpt=_PAGE_EXCERPT)}</body>\n</html>\n"
    )


_PAGE_STYLE = (
    "svg{display:block;margin-bottom:16px}"
    "body{font:14px/1.5 system-ui,sans-serif;color:#1f2328;background:#fff;max-width:900px;margin:24px auto}"
    "pre{margin:4px 0 16px;overflow:auto;font:12px/1.5 ui-monospace,monospace}"
)


def _header(trace: SpanTree) -> str:
    labels = [f"{name} {value}" for name, value in attribution(trace)]
    facts = " · ".join(markup.words(fact) for fact in (*summary(trace), *labels))
    seen = "".join(f" · {markup.link(label, address)}" for label, address in links_of(trace))
    name, shown_id = markup.words(title(trace)), markup.words(trace.trace_id)
    return markup.line(f"<b>{name}</b> · {facts} · trace <code>{shown_id}</code>{seen}")


def _errors(trace: SpanTree) -> Iterator[str]:
    for span in trace.errors[:_MOST_SPANS]:
        yield markup.line(f"{markup.words(failure(span, at_origin=True), 600)} · {markup.words(span.name)}")
    yield from _more(trace.errors, "error")


def _documents(trace: SpanTree) -> Iterator[str]:
    names = {span.span_id: span.name for span in trace.spans}
    by_span = [
        (span_id, list(found)) for span_id, found in groupby(trace.documents(), key=lambda d: d.span_id)
    ]
    for span_id, found in by_span[:_MOST_SPANS]:
        by = f" by {markup.words(found[0].score_kind)}" if found[0].score_kind else ""
        asked = f" for <i>{markup.words(found[0].query)}</i>" if found[0].query else ""
        yield markup.line(
            f"<b>{markup.words(names[span_id])}</b> · {plural(len(found), 'document')}{by}{asked}"
        )
        yield _document_table(found)
        yield from _more(found, "document", _MOST_DOCUMENTS)
    yield from _more(by_span, "retrieval")


def _document_table(found: Sequence[RetrievedDocument]) -> str:
    best = _best(found)
    rows = [
        (
            f"{document.rank}",
            f"{document.rank_before or ''}",
            "" if document.score is None else score_bar(document, best),
            "" if document.score is None else f"{document.score:.3f}",
            fit_ends(printable(document.id or ""), 24),
            _source(document),
            "" if document.size is None else f"{document.size:,}",
            _mark(document.kept),
            _mark(document.in_prompt),
            _mark(document.cited),
        )
        for document in found[:_MOST_DOCUMENTS]
    ]
    return markup.table([_DOCUMENT_HEADS, *rows], [document.text or "" for document in found])


def score_bar(document: RetrievedDocument, best: float) -> str:
    """A bar of block characters: the score's share of 1, or of the `best` one where scores go beyond that."""
    score = document.score or 0.0
    share = score / max(1.0, best)
    if document.score_kind == "distance":
        share = best / score if score > best else 1.0
    full = round(_BAR * min(1.0, max(0.0, share)))
    return "█" * full + "░" * (_BAR - full)


def _best(found: Sequence[RetrievedDocument]) -> float:
    scores = [document.score for document in found if document.score is not None]
    if not scores:
        return 0.0
    return min(scores) if found[0].score_kind == "distance" else max(scores)


def _source(document: RetrievedDocument) -> str:
    page, chunk = document.page and f"p. {document.page}", document.chunk and f"#{document.chunk}"
    return fit_ends(printable(" ".join(filter(None, (document.source, page, chunk)))), 36)


def _mark(yes: bool | None) -> str:
    return "" if yes is None else "✓" if yes else "–"


def _conversations(trace: SpanTree, excerpt: int) -> Iterator[str]:
    """What models were asked and answered, each message where it first appears."""
    calls = [span for span in trace.model_calls if span.operation not in (semconv.EMBEDDINGS, semconv.RERANK)]
    if not calls:
        return
    captured = [span for span in calls if input_messages(span) or output_messages(span)]
    if not captured:
        yield markup.line(f"<i>{_HOW_TO_CAPTURE}</i>")
        return
    before: tuple[Said, ...] = ()
    for span in captured[:_MOST_SPANS]:
        asked, answered = input_messages(span), output_messages(span)
        known = max(_same(before, asked), len(asked) - _MOST_MESSAGES)
        yield markup.line(
            f"<b>{markup.words(span.name)}</b>" + (f" · {plural(known, 'message')} before" * bool(known))
        )
        said = (*asked[known:], *answered[:_MOST_MESSAGES])
        yield markup.conversation(((message.role, message.text) for message in said), excerpt)
        before = asked + answered
    yield from _more(captured, "model call")


def _same(before: Sequence[Said], now: Sequence[Said]) -> int:
    """How many messages `now` begins with that were there before."""
    pairs = zip(before, now, strict=False)
    return next(
        (place for place, (one, other) in enumerate(pairs) if one != other), min(len(before), len(now))
    )


def _tools(trace: SpanTree) -> Iterator[str]:
    """How many tokens went into the results of tools, by agent."""
    for span in trace.spans:
        if used := named_objects(span, semconv.ROLLUP_TOOLS):
            heads = list(dict.fromkeys(name for use in used.values() for name in use))
            rows = [[_cell(tool), *(_cell(use.get(name)) for name in heads)] for tool, use in used.items()]
            yield markup.line(f"<b>{markup.words(span.name)}</b> · input tokens spent on tools")
            yield markup.table([["tool", *(_cell(name.replace("_", " ")) for name in heads)], *rows])


def _cell(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return "" if value is None else fit(printable(str(value)), 40)


def _more(all_of: Sequence[object], noun: str, shown: int = _MOST_SPANS) -> list[str]:
    return [markup.line(f"… {plural(len(all_of) - shown, f'more {noun}')}")] if len(all_of) > shown else []
