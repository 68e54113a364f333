"""What was recorded can be read: in the terminal, in HTML and, folded, on a page."""

import json
from dataclasses import replace

from click.testing import CliRunner
from explore_trees import NASTY, messages, retrieval
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from span_trees import span, tree

from otel_callbacks.cli import main
from otel_callbacks.explore import EventRecord, JsonLinesSpanExporter, Trace, page, render_html
from otel_callbacks.explore.pictures.recorded_text import recorded_text

LONG = "Open Settings. " * 90
PARTS = [{"type": "text", "content": "Be brief."}]
EVERYTHING = tree(
    span(
        *(0, "invoke_agent a", 0, 100),
        gen_ai__input__messages=messages(("user", "How?")),
        gen_ai__output__messages=messages(("assistant", "Of the agent alone.")),
    ),
    span(
        *(1, "execute_tool search", 1, 50),
        gen_ai__tool__call__arguments='{"q": "reset <b>"}',
        gen_ai__tool__call__result=LONG,
    ),
    retrieval(
        "retrieval docs",
        {"id": "d1"},
        start=45,
        rag__query="reset",
        gen_ai__retrieval__documents=json.dumps([{"id": "d1", "content": "page " * 50}]),
    ),
    span(
        *(1, "chat gpt-4o", 50, 50),
        gen_ai__system_instructions=json.dumps(PARTS),
        gen_ai__prompt__variable__city="Rome",
        gen_ai__input__messages=messages(("user", "How?")),
        gen_ai__output__messages=messages(("assistant", "So.")),
    ),
)
EVENTS = (EventRecord("retry", 1, {"attempt": 2}), EventRecord("exception", 1, {"exception.type": "x"}))
EVERYTHING = Trace.of([*EVERYTHING.spans[:-1], replace(EVERYTHING.spans[-1], events=EVENTS)])

TEXT = """\
── invoke_agent a
  assistant
    Of the agent alone.
── execute_tool search
  arguments
    {"q": "reset <b>"}
  result
    Open Settings. Open Settings. Open
    … about 1,315 more characters
── retrieval docs
  query
    reset
  1. d1
    page page page page page page page
    … about 215 more characters
── chat gpt-4o
  system
    Be brief.
  user
    How?
  assistant
    So.
  city
    Rome
  event retry
    {"attempt": 2}"""


def test_the_terminal_shows_each_text_once_and_the_beginning_of_long_ones() -> None:
    assert recorded_text(EVERYTHING, 40, 50) == TEXT


def test_html_shows_them_too() -> None:
    html = render_html(EVERYTHING)
    for shown in (
        "{&quot;q&quot;: &quot;reset &lt;b&gt;&quot;}",
        "Open Settings.",
        "Of the agent alone.",
        "Be brief.",
    ):
        assert shown in html
    assert html.count("How?") == 1
    assert "<i>event retry</i><pre>{&quot;attempt&quot;: 2}</pre>" in html
    assert "page page" in html.partition("</pre></blockquote>")[2] or html.count("page page page") > 1


def test_a_page_folds_long_texts_and_holds_them_whole() -> None:
    shown = page(EVERYTHING)
    assert f"<details><summary><i>result</i> · {len(LONG):,} characters · Open Settings." in shown
    assert shown.partition("</summary>")[2].count("Settings.") == 90
    assert "<details><summary><i>arguments" not in shown


def test_the_header_is_not_repeated_below_the_picture() -> None:
    assert EVERYTHING.trace_id in render_html(EVERYTHING)
    assert EVERYTHING.trace_id not in render_html(EVERYTHING, below_picture=True)
    assert page(EVERYTHING).count(EVERYTHING.trace_id) == 1


def test_what_others_wrote_is_escaped_everywhere() -> None:
    for nasty in NASTY.values():
        trace = tree(
            span(
                *(0, f"execute_tool {nasty}", 0, 9),
                gen_ai__tool__call__arguments=nasty,
                gen_ai__tool__call__result=nasty,
                gen_ai__system_instructions=json.dumps([{"type": "text", "content": nasty}]),
                **{f"gen_ai.prompt.variable.{nasty}": nasty},
            )
        )
        assert recorded_text(trace).replace("\n", "").isprintable()
        html = render_html(trace)
        assert "<script" not in html and html.replace("\n", "").isprintable()


def test_without_content_it_says_how_to_record_it() -> None:
    assert 'content="spans"' in recorded_text(tree(span(0, "x", 0, 1)))


def test_view_shows_them_on_request(tmp_path) -> None:
    file = tmp_path / "t.jsonl"
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(JsonLinesSpanExporter(file)))
    attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.result": "word " * 900}
    provider.get_tracer("test").start_span("execute_tool x", attributes=attributes).end()
    ran = [
        CliRunner().invoke(main, ["view", str(file), *options]).stdout
        for options in ([], ["--content"], ["--whole"])
    ]
    assert [text.count("word ") > 300 for text in ran] == [False, True, True]
    assert ["more characters" in text for text in ran] == [False, True, False]


def test_a_notebook_shows_the_texts_of_the_first_documents_and_a_page_all() -> None:
    texts = [{"id": f"d{n}", "content": f"text {n} " * 20} for n in range(9)]
    trace = tree(
        span(0, "r", 0, 9),
        retrieval("retrieval x", *texts, gen_ai__retrieval__documents=json.dumps(texts)),
    )
    assert "… 5 more texts" in render_html(trace)
    assert "<i>4. d3</i>" in render_html(trace) and "<i>5. d4</i>" not in render_html(trace)
    assert "<i>9. d8</i>" in page(trace)
