import json
import re
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, urljoin, urlsplit

import pytest
from explore_trees import CAPTURED, FAN, NASTY, messages, retrieval
from many_traces import NOON, SECOND, fleet
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from span_trees import AGENT, RAG, TRACE_ID, span, tree, usage
from starlette.testclient import TestClient
from ui_pages import Page, client, get

from otel_callbacks.explore import JsonLinesSpanExporter, Trace, Traces
from otel_callbacks.explore.answers.text import sections, title
from otel_callbacks.explore.index.database import Index
from otel_callbacks.explore.index.file_index import FileIndex
from otel_callbacks.explore.ui.application import application
from otel_callbacks.explore.ui.listing import Source
from otel_callbacks.explore.ui.state import FILTERS
from otel_callbacks.limits import PAGE_EXCERPT_CHARACTERS, UI_ROWS, UI_TRACES
from otel_callbacks.runtime.faults import faults

FLEET = Traces.of(fleet(130))


def only(trace: Trace) -> Traces:
    return Traces.of([*trace.spans, *(each.span for each in trace.evaluations)])


def listed(page: Page) -> list[str]:
    """The ids of the traces that a list links to."""
    queries = [parse_qs(urlsplit(link).query) for link in page.links if link.startswith("trace?")]
    return [query["id"][0] for query in queries if "span" not in query]


def test_the_list_has_a_row_for_each_trace():
    traces = Traces.of(list(fleet(2)))
    page = get(traces, "./")
    assert page.title == "Traces · otel-callbacks"
    assert [row[:7] for row in page.rows] == [
        ["Started (UTC) ↓", "Trace", "Errors", "Time", "Tokens", "Cost", "Who"],
        ["2023-11-14 22:13:21", page.rows[1][1], "", "342 ms", "111", "$0.0002", page.rows[1][6]],
        [
            "2023-11-14 22:13:20",
            page.rows[2][1],
            "✗ 1 ValueError",
            "2.49 s",
            "110",
            "$0.0001",
            page.rows[2][6],
        ],
    ]
    assert "question 1" in page.rows[1][1] and "3 spans" in page.rows[1][1]
    assert "helpful 0" in page.rows[2][8]


def at(second: int) -> datetime:
    return datetime.fromtimestamp(NOON // SECOND + second, UTC)


CHOICES = [
    {"tenant": "acme"},
    {"user": "u-3"},
    {"session": "s-2"},
    {"model": "gpt-4o", "tenant": "globex"},
    {"name": "rag"},
    {"tool": "search", "error": True},
    {"error": False},
    {"error_type": "TimeoutError"},
    {"evaluation": "helpful", "max_score": 0.0},
    {"min_cost": 0.002, "max_cost": 0.004},
    {"min_duration": 1.5},
    {"max_tokens": 150, "min_tokens": 1},
    {"text": "QUESTION 12"},
    {"since": at(20), "until": at(30)},
    {"since": timedelta(hours=24)},
    {"since": timedelta(weeks=999_999)},
]


WRITTEN = {
    at(20): at(20).isoformat(),
    at(30): at(30).isoformat(),
    timedelta(hours=24): "24h",
    timedelta(weeks=999_999): "999999w",
}


@pytest.mark.parametrize("filters", CHOICES, ids=lambda filters: " ".join(filters))
def test_filters_choose_what_find_does(filters):
    words = {name: WRITTEN.get(value, value) for name, value in filters.items()}
    answer = client(FLEET).get("/", params=words)
    wanted = [trace.trace_id for trace in FLEET.find(**filters)]
    assert listed(Page(answer.text)) == wanted[::-1][:UI_TRACES]
    assert (f"{len(wanted)} trace" in Page(answer.text).text) == bool(wanted)


def test_a_selection_shows_only_its_own_traces():
    chosen = FLEET.find(tenant="acme")
    ids = {trace.trace_id for trace in chosen}
    pages = [get(chosen, f"/?page={number}") for number in (1, 2)]
    assert {each for page in pages for each in listed(page)} <= ids
    other = next(trace.trace_id for trace in FLEET if trace.trace_id not in ids)
    get(chosen, f"/trace?id={other}", 404)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("min_cost=abc", "min_cost='abc': use a number, such as 0.5"),
        ("min_tokens=1.5", "min_tokens='1.5': use a number, such as 5"),
        ("max_cost=nan", "max_cost='nan': use a number"),
        ("error=perhaps", "error='perhaps': use true or false"),
        (
            "since=yesterday",
            "since='yesterday': use a time such as 2026-01-31T09:30 (UTC), or a time span such as 15m",
        ),
        ("until=9999-12-31", "use a year from 1970 to 2261"),
    ],
)
def test_a_filter_that_cannot_be_read_says_what_would_be_right(words, said):
    page = get(FLEET, f"/?{words}", 400)
    assert said in page.text
    assert [attributes["name"] for tag, attributes in page.elements if "aria-invalid" in attributes] == (
        [] if words.startswith("error") else [words.partition("=")[0]]
    )


@pytest.mark.parametrize(
    ("sort", "key"),
    [("time", "duration"), ("cost", "cost"), ("start", "start_ns")],
)
def test_pages_of_a_list_hold_each_trace_once_in_order(sort, key):
    ids = [
        each for number in (1, 2, 3) for each in listed(get(FLEET, f"/?sort={sort}&order=asc&page={number}"))
    ]
    values = [getattr(FLEET.get(each), key) for each in ids]
    known = [value for value in values if value is not None]
    assert known == sorted(known) and values[: len(known)] == known
    assert sorted(ids) == [trace.trace_id for trace in FLEET]
    assert listed(get(FLEET, f"/?sort={sort}&order=asc&page=99")) == ids[-(130 - 2 * UI_TRACES) :]


@pytest.mark.parametrize(
    "text", ['he said "no"', "Größe", "two\nlines", "back\\slash", "100 % sure_", "'; DROP TABLE"]
)
def test_text_is_found_in_what_was_recorded(text):
    told = tree(span(0, "chat gpt-4o", 0, 5, gen_ai__input__messages=messages(("user", f"well, {text}!"))))
    answer = client(Traces.of([*fleet(3), *told.spans])).get("/", params={"text": text})
    assert listed(Page(answer.text)) == [TRACE_ID]


def test_sums_are_those_of_all_traces_that_match():
    page = get(FLEET, "/?tenant=acme")
    chosen = FLEET.find(tenant="acme")
    cost = sum(trace.cost or 0 for trace in chosen)
    tokens = sum(trace.total_tokens for trace in chosen)
    failed, unpriced = len(chosen.errors()), sum(len(trace.unpriced) for trace in chosen)
    assert f"{len(chosen)} traces {failed} failed" in page.text
    assert f"{tokens:,} tokens ${cost:.4f} cost {unpriced} unpriced calls" in page.text


def test_a_trace_has_a_row_for_each_span():
    page = get(only(RAG), f"/trace?id={TRACE_ID[:8]}")
    assert page.rows == [
        ["Step", "When it ran", "Time", "In", "Out", "Cost"],
        ["invoke_workflow rag", "", "1.42 s", "", "", ""],
        ["retrieval product-docs", "20 docs, best 0.831", "43 ms", "", "", ""],
        ["embeddings text-embedding-3-small", "", "31 ms", "12", "", "<$0.0001"],
        ["rerank bge-reranker-v2-m3", "20 → 4 docs, best 0.973", "88 ms", "", "", ""],
        ["format_docs", "", "400 µs", "", "", ""],
        ["chat gpt-4o", "1,024 cached · TTFT 180 ms", "1.28 s", "2,184", "126", "$0.0054"],
    ]
    assert "Prompts and answers were not recorded" in page.text


def test_messages_documents_and_cost_stand_beside_a_trace():
    page = get(only(CAPTURED), f"/trace?id={TRACE_ID}")
    for said in (
        "system Answer from the context. Be brief.",
        "user How do I reset my password?",
        "assistant Open Settings [1].",
        "user thanks assistant You are welcome.",
        "retrieval product-docs 2 documents by similarity for “reset password”",
        "doc-7 guide.md p. 3",
        "rerank bge 1 document",
        "was 1 doc-7",
        "Cost by model",
    ):
        assert said in page.text
    assert page.text.count("How do I reset my password?") == 1  # the second call repeats it


def test_a_span_has_its_own_details():
    chosen = next(each for each in AGENT.spans if each.error_message and each.name.startswith("execute_tool"))
    page = get(only(AGENT), f"/trace?id={TRACE_ID}&span={chosen.span_id}")
    assert "✗ ValueError: order 'A-1002' not found" in page.text
    assert "started 2.50 s after the start" in page.text
    current = [
        attributes["id"] for tag, attributes in page.elements if attributes.get("aria-current") == "true"
    ]
    assert current == [f"row-{chosen.span_id}"]
    get(only(AGENT), f"/trace?id={TRACE_ID}&span=ffff", 404)


def test_a_big_trace_is_folded_and_can_be_shown_in_pages():
    traces = only(FAN)
    folded = get(traces, f"/trace?id={TRACE_ID}")
    assert len(folded.rows) < 20
    assert "… 296 more chat gpt-4o" in folded.text
    places = [link for link in folded.links if "rows=all" in link]
    seen = []
    for number in (1, 2, 3):
        page = get(traces, f"/trace?id={TRACE_ID}&rows=all&page={number}")
        seen += [
            attributes["id"] for _, attributes in page.elements if attributes.get("id", "").startswith("row-")
        ]
    assert seen == [f"row-{each.span_id}" for each in FAN.walk()]
    for link in places:  # leads to the page with the first of the folded spans
        page = get(traces, link)
        if "span=" in link:
            wanted = parse_qs(urlsplit(link).query)["span"][0]
            assert f"row-{wanted}" in [attributes.get("id") for _, attributes in page.elements]
    assert len(page.rows) <= UI_ROWS + 1


def test_sessions_are_conversations():
    page = get(FLEET, "/sessions")
    assert page.rows[:2] == [
        ["Session", "User", "Started (UTC)", "Last (UTC)", "Turns", "Errors", "Tokens", "Cost"],
        page.rows[1],
    ]
    assert [row[0] for row in page.rows[1:3]] == ["s-32", "s-31"] and page.rows[2][4] == "4"
    session = get(FLEET, "/session?session=s-31")
    turns = [f"user question {number} assistant answer {number}" for number in range(124, 128)]
    assert [session.text.index(turn) for turn in turns] == sorted(session.text.index(turn) for turn in turns)
    get(FLEET, "/session?session=nobody", 404)


def test_what_changed_between_two_traces():
    later = [replace(each, trace_id="b" * 32) for each in RAG.spans[:-1]]
    page = get(Traces.of([*RAG.spans, *later]), f"/diff?a={TRACE_ID}&b={'b' * 32}")
    assert ["time", "1.42 s", "1.42 s", ""] in page.tables[0]
    assert [row[0] for row in page.tables[1][2:]] == ["", "", "", "", "", "removed"]
    assert [row[2:4] for row in page.tables[1][2:]][-1] == ["1.28 s", ""]
    assert "Compare two traces" in get(FLEET, "/diff").text


def test_an_older_trace_is_chosen_from_the_list_to_compare_with():
    page = get(FLEET, f"/?a={'0' * 31}1&tenant=acme")
    links = [
        parse_qs(urlsplit(link).query) for link in page.links if link.startswith("diff?") and "b=" in link
    ]
    assert [link["b"] for link in links] == [[each] for each in listed(page)]
    assert all(link["tenant"] == ["acme"] and link["a"] == ["0" * 31 + "1"] for link in links)


def test_every_link_leads_to_a_page_and_keeps_the_filters():
    traces = Traces.of([*fleet(12), *CAPTURED.spans])
    waiting, seen, visits = ["http://testserver/?min_duration=0"], set(), Counter()
    with TestClient(application(Source(traces._open_index))) as browser:
        while waiting and len(seen) < 100:
            waiting.sort(
                key=lambda each: visits[urlsplit(each).path]
            )  # so that every kind of page is reached
            address = waiting.pop(0)
            seen.add(address)
            visits[urlsplit(address).path] += 1
            answer = browser.get(address)
            assert answer.status_code == 200, address
            if answer.headers["content-type"].startswith("text/html"):
                page = Page(answer.text)
                page.check_inert()
                found = {urljoin(address, link) for link in page.links if not link.startswith("#")}
                waiting = sorted(found - seen - set(waiting)) + waiting  # deeper first
    assert set(visits) == {"/", "/trace", "/span", "/sessions", "/session", "/cost", "/why", "/diff"}


HOSTILE = {
    **NASTY,
    "link": "javascript:alert(1)",
    "attribute": '" onclick="alert(1)',
    "template": "{{ 7*7 }}{% raw %}",
}
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufffe]")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_of_a_span_is_run_or_obeyed(text):
    text = text.encode("utf-8", "replace").decode()  # no file can hold half a character
    hostile = tree(
        span(0, text, 0, 9, app__tenant_id=text, user__id=text, session__id=text, gen_ai__agent__name=text),
        span(
            *(1, f"chat {text}", 1, 5),
            **usage(100, 5, end=text),
            gen_ai__response__model=text,
            gen_ai__input__messages=messages((text, text), ("user", text)),
            gen_ai__output__messages=messages(("assistant", text)),
            otel_callbacks__cost__unpriced_reason=text,
        ),
        retrieval(text, {"id": text, "source": text, "score": 0.5, "score_kind": text}, rag__query=text),
        span(
            *(1, "execute_tool x", 7, 1, f"{text}: {text}"),
            gen_ai__tool__name=text,
            gen_ai__tool__call__arguments=json.dumps({text: text}),
            gen_ai__tool__call__result=text,
        ),
    )
    traces = Traces.of([*hostile.spans, replace(hostile.spans[0], trace_id="a" * 32)])
    addresses = [
        "/",
        "/sessions",
        "/cost?by=model,user",
        f"/diff?a={TRACE_ID}&b={'a' * 32}",
        f"/trace?id={TRACE_ID}",
    ]
    addresses += [f"/trace?id={TRACE_ID}&span={each.span_id}" for each in hostile.spans]
    for address in addresses:
        answer = client(traces).get(address)
        page = Page(answer.text)
        page.check_inert()
        assert not CONTROL.search(page.text) and "49" not in page.title
        assert len(answer.content) < 400_000
    words = dict.fromkeys((*FILTERS, "by", "id", "a", "b", "span", "sort"), text[:500])
    for path in ("/", "/session", "/cost", "/diff", "/trace", "/nowhere"):
        answer = client(traces).get(path, params=words)
        assert answer.status_code in (400, 404)
        Page(answer.text).check_inert()


def test_a_huge_text_is_cut_and_can_be_read_whole():
    text = "A long story. " * 300_000
    told = tree(span(0, "chat gpt-4o", 0, 5, gen_ai__output__messages=messages(("assistant", text))))
    start = time.process_time()
    page = get(only(told), f"/trace?id={TRACE_ID}&span={told.spans[0].span_id}")
    assert time.process_time() - start < 5
    assert f"{len(text):,} characters" in page.text
    assert f"… {len(text) - PAGE_EXCERPT_CHARACTERS:,} more characters" in page.text
    assert len(page.html) < 10 * PAGE_EXCERPT_CHARACTERS
    whole = client(only(told)).get(f"/span?id={TRACE_ID}&span={told.spans[0].span_id}")
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert (
        text
        in json.loads(json.loads(whole.text)["attributes"]["gen_ai.output.messages"])[0]["parts"][0][
            "content"
        ]
    )


def test_without_traces_it_says_what_to_do():
    page = get(Traces.of([]), "/")
    assert "No traces yet" in page.text and "OTelCallbackHandler" in page.text
    assert "No sessions" in get(Traces.of([]), "/sessions").text
    assert "No model calls" in get(Traces.of([]), "/cost").text
    assert "No trace matches" in get(FLEET, "/?tenant=nobody").text
    assert "There is no such page" in get(FLEET, "/nowhere", 404).text
    assert "several traces have an id" in get(FLEET, "/trace?id=0", 404).text


def test_files_may_come_later_grow_and_go(tmp_path):
    file = tmp_path / ".otel_callbacks" / "traces-1.jsonl"
    browser = TestClient(application(Source(FileIndex(file.parent).index)))
    assert "No traces yet" in browser.get("/").text
    assert browser.get("/live").json() == {"version": ""}
    assert browser.get("/cost").status_code == 404
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(JsonLinesSpanExporter(file)))
    versions = {browser.get("/live").json()["version"]}
    for count in (1, 2):
        provider.get_tracer("test").start_span(f"number {count}").end()
        versions.add(browser.get("/live").json()["version"])
        assert len(listed(Page(browser.get("/").text))) == count
    assert len(versions) == 3
    file.write_text("this is not a trace\n")
    answer = browser.get("/")
    assert answer.status_code == 503 and "traces-1.jsonl" in Page(answer.text).text


def test_a_page_that_fails_is_told_and_the_others_work(caplog):
    def broken() -> Index:
        raise RuntimeError("secret text")

    faults.strict = False
    answer = TestClient(application(Source(broken))).get("/")
    assert answer.status_code == 500 and "This page failed" in answer.text
    assert "secret text" not in answer.text + caplog.text
    assert "failed in the page of traces with RuntimeError" in caplog.text


def slow_fleet(slow: int, usual: int):
    """Runs of one workflow, in one conversation each; in the slow ones the validator takes 20 s and not 1 s."""
    for number in range(slow + usual):
        seconds = 20_000 if number < slow else 1_000
        described = tree(
            span(0, "invoke_workflow answer", number * 60_000, seconds + 500, session__id=f"s-{number}"),
            span(1, "execute_tool search_docs", number * 60_000, 400, gen_ai__tool__name="search_docs"),
            span(1, "execute_tool validator", number * 60_000 + 400, seconds, gen_ai__tool__name="validator"),
        )
        yield from (replace(each, trace_id=f"{number + 1:08x}".ljust(32, "0")) for each in described.spans)


def test_why_names_the_cause_and_leads_to_the_traces_it_names():
    traces = Traces.of(slow_fleet(6, 60))
    page = get(traces, "/why?slow=10s")
    [answer] = traces.why(slow="10s").answers
    for head, lines in sections(answer):
        assert all(" ".join(line.split()) in page.text for line in (title(answer), head, *lines))
    assert [row[:3] for row in page.rows[:2]] == [
        ["On the critical path", "slow runs", "usual runs"],
        ["validator", "20.0 s", "1.00 s"],
    ]
    named = {parse_qs(urlsplit(link).query)["id"][0] for link in page.links if link.startswith("trace?")}
    assert named and named <= {trace.trace_id for trace in traces.find(min_duration=10.0)}
    assert "Asked 66 traces" in page.text
    assert "No traces to ask" in get(traces, "/why?tenant=nobody").text


def test_one_workflow_can_be_asked_for():
    """A page names the first few workflows; the field for the name keeps its value, and the others theirs."""
    traces = Traces.of(slow_fleet(6, 60))
    workflow = next(iter(traces)).name
    page = get(traces, f"/why?name={quote(workflow)}&tenant=acme&slow=10s")
    fields = {each["name"]: each["value"] for tag, each in page.elements if tag == "input"}
    assert fields == {"name": workflow, "tenant": "acme", "slow": "10s", "expensive": "p95"}
    assert "Asked 66 traces" in get(traces, f"/why?name={quote(workflow)}").text
    assert "No traces to ask" in get(traces, "/why?name=nobody").text


@pytest.mark.parametrize(
    ("word", "chosen"), [("1", "true"), ("True", "true"), ("off", "false"), ("0", "false"), ("", "")]
)
def test_the_choice_of_errors_shows_what_filters(word, chosen):
    page = get(FLEET, f"/?error={word}")
    options = [each for tag, each in page.elements if tag == "option" and "selected" in each]
    assert [each["value"] for each in options if each["value"] in ("", "true", "false")] == [chosen]


def test_a_tail_that_is_none_says_what_would_be_right():
    page = get(FLEET, "/why?slow=p200", 400)
    assert "slow must be a tail, such as 'p95'" in page.text
