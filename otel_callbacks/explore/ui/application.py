"""The addresses of the page, and what each shows."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from otel_callbacks.explore.frames import answer, question, span_dict
from otel_callbacks.explore.index.database import Index
from otel_callbacks.explore.pictures import colours
from otel_callbacks.explore.pictures.cells import attribution_labels, title, unpriced_text
from otel_callbacks.explore.pictures.formatting import format_cost, format_duration, plural
from otel_callbacks.explore.pictures.links import trace_links
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.trace import Trace
from otel_callbacks.explore.ui import comparison
from otel_callbacks.explore.ui.costs import COMMON, costs
from otel_callbacks.explore.ui.details import Said, of_span, of_trace
from otel_callbacks.explore.ui.listing import SORTS, Source, sessions, suggestions, traces_page, version
from otel_callbacks.explore.ui.state import FILTERS, State, paged
from otel_callbacks.explore.ui.waterfall import waterfall
from otel_callbacks.limits import UI_TRACES
from otel_callbacks.runtime.faults import faults
from otel_callbacks.runtime.untrusted_text import printable, printable_json

_HERE = Path(__file__).parent
_Page: TypeAlias = Callable[[Source, Index, State], Response]

NAVIGATION = (
    ("traces", "./", "Traces"),
    ("sessions", "sessions", "Sessions"),
    ("cost", "cost", "Cost"),
    ("why", "why", "Why"),
    ("diff", "diff", "Compare"),
)
"""The pages that every page links to: name, address, words."""


def _verb(name: str) -> tuple[str, str]:
    """Splits the name of a span into its operation, which may be empty, and the rest."""
    verb, _, rest = name.partition(" ")
    return (verb, rest) if verb in colours.OPERATIONS else ("", name)


_templates = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals.update(navigation=NAVIGATION, plural=plural)
_templates.filters.update(
    verb=_verb,
    cost=format_cost,
    duration=format_duration,
    number="{:,}".format,
    printable=lambda text: printable(str(text)),
)


def application(source: Source) -> Starlette:
    """Returns the application that shows the traces of `source`. Whoever serves it must guard it (`guard.py`)."""
    pages: Mapping[str, _Page] = {
        "/": _traces,
        "/trace": _trace,
        "/span": _span,
        "/sessions": _sessions,
        "/session": _session,
        "/cost": _cost,
        "/why": _why,
        "/diff": _diff,
        "/live": _live,
    }
    routes: list[BaseRoute] = [Route(path, _answering(source, page)) for path, page in pages.items()]
    routes += [
        Route("/static/colours.css", _colours),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_such_page})


def _answering(source: Source, page: _Page) -> Callable[[Request], Response]:
    """Returns what answers a request with a page, or says why it cannot."""

    def respond(request: Request) -> Response:
        state = State.of(request.query_params)
        try:
            return page(source, source.open_index(), state)
        except LookupError as error:
            return _problem(state, "This is not here", str(error), 404)
        except FileNotFoundError as error:
            if page is _live:
                return JSONResponse({"version": ""})
            return _render(
                "empty.html", state, 200 if page is _traces else 404, here="traces", why=str(error)
            )
        except (OSError, ValueError, sqlite3.Error) as error:
            return _problem(state, "The traces cannot be read", str(error), 503)
        except Exception as error:  # a page that fails must not end the server, nor the application beside it
            faults.report("the page of traces", error)
            if faults.strict:
                raise
            return _problem(state, "This page failed", "The log says where; other pages may work.", 500)

    return respond


def _render(template: str, state: State, status: int = 200, *, here: str, **values: Any) -> Response:
    words = {
        "state": state,
        "here": here,
        "live": state.words.get("live") != "off",
        "announce": "",
        "at": None,
    }
    return HTMLResponse(_templates.get_template(template).render({**words, **values}), status)


def _problem(state: State, what: str, why: str, status: int) -> Response:
    return _render("problem.html", state, status, here="", what=what, why=printable(why))


def _no_such_page(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _problem(State.of({}), "There is no such page", "The links above lead to what there is.", status)


def _traces(source: Source, index: Index, state: State) -> Response:
    at = version(index)
    listed = traces_page(source, index, state)
    return _render(
        "traces.html",
        state,
        400 if state.wrong else 200,
        here="traces",
        listed=listed,
        most=max((bar.count for bar in listed.bars), default=0),
        slowest=max((row["duration"] for row in listed.rows), default=0.0),
        sorts=SORTS,
        suggestions=suggestions(index, at),
        filters=FILTERS,
        at=at,
        announce=plural(listed.count, "trace"),
    )


def _trace(source: Source, index: Index, state: State) -> Response:
    at = version(index)
    trace = source.trace(index, state.words.get("id", ""))
    chosen = _chosen(trace, state.words.get("span", ""))
    every = state.words.get("rows") == "all"
    return _render(
        "trace.html",
        state,
        here="trace",
        trace=trace,
        title=title(trace),
        labels=attribution_labels(trace),
        links=trace_links(trace),
        unpriced=unpriced_text(trace),
        waterfall=waterfall(trace, every=every, page=state.number("page")),
        details=of_span(trace, chosen) if chosen else of_trace(trace),
        at=at,
        announce=plural(len(trace.spans), "span"),
    )


def _chosen(trace: Trace, span_id: str) -> SpanRecord | None:
    """Returns the span with that id; None without one.

    Raises:
        LookupError: The trace has no such span.
    """
    if not span_id:
        return None
    found = next((span for span in trace.spans if span.span_id == span_id), None)
    if found is None:
        raise LookupError(f"the trace has no span {span_id!r:.40}")
    return found


def _span(source: Source, index: Index, state: State) -> Response:
    """Answers with all that was recorded of a span, as text that no browser runs."""
    trace = source.trace(index, state.words.get("id", ""))
    chosen = _chosen(trace, state.words.get("span", "")) or trace.roots[0]
    data = span_dict(trace, chosen)
    data["events"] = [
        {"name": each.name, "time_ns": each.time_ns, **each.attributes} for each in chosen.events
    ]
    return PlainTextResponse(printable_json(json.dumps(data, indent=2, ensure_ascii=False, default=str)))


def _sessions(source: Source, index: Index, state: State) -> Response:
    at = version(index)
    found = sessions(source, index, state)
    page, pages = paged(state.number("page"), len(found), UI_TRACES)
    return _render(
        "sessions.html",
        state,
        here="sessions",
        sessions=found[(page - 1) * UI_TRACES : page * UI_TRACES],
        count=len(found),
        page=page,
        pages=pages,
        at=at,
        announce=plural(len(found), "session"),
    )


def _session(source: Source, index: Index, state: State) -> Response:
    at = version(index)
    named = State.of({**state.words, "sort": "start", "order": "asc"})
    if "session" not in named.words:
        raise LookupError("the address names no session")
    listed = traces_page(source, index, named)
    turns = []
    for row in listed.rows:
        trace = source.trace(index, row["trace_id"])
        asked, said = question(trace, trace.documents()), answer(trace)
        turns.append(
            (row, Said.of(("user", asked)) if asked else None, Said.of(("assistant", said)) if said else None)
        )
    if not turns:
        raise LookupError("no trace of this session is here, or not any more")
    return _render(
        "session.html",
        state,
        here="sessions",
        listed=listed,
        turns=turns,
        at=at,
        announce=plural(listed.count, "turn"),
    )


def _cost(source: Source, index: Index, state: State) -> Response:
    at = version(index)
    try:
        found, wrong = costs(source, index, state), ""
    except ValueError as error:
        found, wrong = costs(source, index, State({**state.words, "by": ""}, state.filters)), str(error)
    return _render(
        "cost.html",
        state,
        400 if wrong or state.wrong else 200,
        here="cost",
        costs=found,
        wrong=wrong,
        common=COMMON,
        filters=FILTERS,
        at=at,
        announce=plural(len(found.rows), "row"),
    )


def _why(source: Source, index: Index, state: State) -> Response:
    at, ids = version(index), source.ids(index, state)
    tails = {name: state.words.get(name, "p95") for name in ("slow", "expensive")}
    wrong = ""
    try:
        answers, notes = comparison.reasons(index, at, ids, **tails) if ids else ((), ())
    except ValueError as error:
        (answers, notes), wrong = ((), ()), str(error)
    return _render(
        "why.html",
        state,
        400 if wrong or state.wrong else 200,
        here="why",
        answers=answers,
        notes=notes,
        wrong=wrong,
        tails=tails,
        count=len(ids),
        filters=FILTERS,
    )


def _diff(source: Source, index: Index, state: State) -> Response:
    ids = [state.words.get(name, "") for name in ("a", "b")]
    if not all(ids):
        return _render("compare.html", state, here="diff")
    difference = source.trace(index, ids[0]).diff(source.trace(index, ids[1]))
    return _render(
        "diff.html",
        state,
        here="diff",
        difference=difference,
        totals=comparison.totals(difference),
        steps=comparison.steps(difference),
        titles=[title(difference.a), title(difference.b)],
    )


def _live(source: Source, index: Index, state: State) -> Response:
    """Answers with what changes when anything does; the script asks for it, and then for its page."""
    return JSONResponse({"version": version(index)})


def _colours(_: Request) -> Response:
    return Response(colours.STYLE_SHEET, media_type="text/css")
