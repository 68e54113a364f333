import random
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from explore_trees import CAPTURED, DEEP, FAN, NASTY, messages
from span_trees import AGENT, RAG, SUPERVISOR, found, span, tree, usage

from otel_callbacks import limits
from otel_callbacks.explore import Trace
from otel_callbacks.explore.pictures.svg import render_svg

SVG = "{http://www.w3.org/2000/svg}"
TAGS = {"svg", "style", "g", "title", "rect", "line", "text", "tspan"}
ATTRIBUTES = {
    *(
        "width",
        "height",
        "viewBox",
        "role",
        "aria-label",
        "class",
        "x",
        "y",
        "x1",
        "y1",
        "x2",
        "y2",
        "dx",
        "rx",
    ),
    *("fill", "stroke", "stroke-width", "font-family", "font-size", "font-weight", "text-anchor"),
}
TURNS = tree(
    span(0, "invoke_agent librarian", 0, 5000),
    *(
        part
        for n in range(125)
        for part in (
            span(1, "model", n * 40, 18),
            span(2, "chat gpt-4o", n * 40, 18, **usage(10, 1, 0.001)),
            span(1, "tools", n * 40 + 20, 18),
            span(2, "execute_tool search", n * 40 + 20, 16, error="ValueError: no" if n == 70 else None),
        )
    ),
)
TRACES = {"rag": RAG, "agent": AGENT, "supervisor": SUPERVISOR, "fan": FAN, "turns": TURNS, "deep": DEEP}


def parsed(trace):
    return ElementTree.fromstring(render_svg(trace))


def texts(root):
    """The visible texts, without tooltips."""
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


def bars(root):
    """The colour and width of the bars of each row."""
    return [
        [
            (rect.get("fill"), float(rect.get("width")))
            for rect in row.iter(f"{SVG}rect")
            if rect.get("width") != "8"
        ]
        for row in root.iter(f"{SVG}g")
    ]


@pytest.mark.parametrize("name", TRACES)
def test_the_picture_uses_nothing_that_sites_strip(name):
    root = parsed(TRACES[name])
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= TAGS
    assert {attribute for element in root.iter() for attribute in element.attrib} <= ATTRIBUTES
    assert not re.search(r"url\(|href|data:|@import", render_svg(TRACES[name]))
    card = root[1]
    assert (card.tag, card.get("fill"), card.get("width")) == (f"{SVG}rect", "#ffffff", "899")


def test_in_a_dark_theme_it_is_no_white_card():
    """Every colour of text and paper has one for dark themes, for this picture alone; see the rendered pages, too."""
    style = parsed(AGENT)[0].text
    assert style.startswith("@media(prefers-color-scheme:dark){") and style.count("{") == style.count("}")
    rules = re.findall(r"([^{}]*)\{(?:fill|stroke):#", style.partition("{")[2])
    assert all(rule.startswith(".otel-callbacks-trace ") for rule in rules)
    used = {element.get("fill") for element in parsed(AGENT).iter(f"{SVG}text")} - {"#ffffff"}
    assert all(f'[fill="{colour}"]' in style for colour in used | {"#ffffff"})


@pytest.mark.parametrize("name", TRACES)
def test_everything_is_within_the_card(name):
    root = parsed(TRACES[name])
    height = float(root.get("height"))
    for element in root.iter():
        assert all(0 <= float(element.get(x, 0)) <= 900 for x in ("x", "x1", "x2"))
        assert all(0 <= float(element.get(y, 0)) <= height for y in ("y", "y1", "y2"))
        assert float(element.get("x", 0)) + float(element.get("width", 0)) <= 900


@pytest.mark.parametrize("content", NASTY.values(), ids=NASTY)
def test_everything_is_escaped(content):
    trace = tree(
        span(0, content, 0, 9, app__tenant_id=content),
        span(1, f"chat {content}", 0, 9, error=f"{content}: {content}", otel_callbacks__outcome=content),
    )
    root = parsed(trace)  # well-formed XML without a character that XML forbids
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= TAGS
    assert "".join(root.itertext()).isprintable()
    assert len(render_svg(trace)) < 12_000


@pytest.mark.parametrize("name", TRACES)
def test_a_big_trace_is_folded_and_not_shrunk(name):
    root = parsed(TRACES[name])
    rows = list(root.iter(f"{SVG}g"))
    assert len(rows) <= 40
    baselines = [float(next(row.iter(f"{SVG}text")).get("y")) for row in rows]
    assert {after - before for before, after in pairwise(baselines)} <= {22.0}
    assert {next(row.iter(f"{SVG}text")).get("font-size") for row in rows} == {"12"}


def test_folded_rows_say_how_many_and_what_they_add_up_to():
    shown = texts(parsed(FAN))
    at = shown.index("… 296 more chat gpt-4o")
    assert shown[at + 1 : at + 5] == ["2.66 s", "29,600", "2,960", "$0.2960"]
    assert "… 194 more chat gpt-4o" in shown
    assert "✗ RateLimitError: 429chat gpt-4o ×198" in shown


def test_many_turns_show_the_first_the_last_and_the_failing_one():
    shown = texts(parsed(TURNS))
    assert [text for text in shown if text.startswith("…")] == [
        "… 126 more: 63 tools, 63 model",
        "… 107 more: 54 model, 53 tools",
    ]
    assert "✗ ValueError: no" in shown


def test_deep_levels_are_counted_where_they_are_hidden():
    assert texts(parsed(DEEP))[-3:-1] == ["step 10+489", "490 ms"]


@pytest.mark.parametrize("name", ["fan", "turns", "supervisor"])
def test_the_columns_add_up_to_the_header_however_much_is_folded(name):
    trace = TRACES[name]
    columns = {}
    for row in parsed(trace).iter(f"{SVG}g"):
        for text in row.iter(f"{SVG}text"):
            if text.get("font-size") == "11":
                columns.setdefault(text.get("x"), []).append(text.text)
    numbers = [
        [int(cell.replace(",", "")) for cell in column if cell.replace(",", "").isdigit()]
        for column in columns.values()
    ]
    assert sorted(map(sum, filter(None, numbers))) == sorted([trace.input_tokens, trace.output_tokens])


def test_an_error_is_red_and_spelled_out_where_it_began():
    trace = tree(
        span(0, "invoke_agent a", 0, 100),
        span(1, "tools", 0, 50, error="ValueError"),
        span(2, "execute_tool t", 0, 50, error="ValueError: no such order"),
    )
    assert "✗ ValueError: no such orderexecute_tool t" in texts(parsed(trace))
    assert [row[0][0] for row in bars(parsed(trace))] == ["#7c4ddb", "#8b95a1", "#cf222e"]


def test_a_message_that_was_not_recorded_is_not_made_up():
    trace = tree(span(0, "execute_tool t", 0, 50, error="ValueError"))
    assert "✗ ValueErrorexecute_tool t" in texts(parsed(trace))


def test_a_stream_is_pale_until_its_first_token_and_a_cached_call_all_along():
    cached = {"otel_callbacks.cost.status": "cached", "gen_ai.usage.cost_usd": 0.0}
    streamed = {"gen_ai.response.time_to_first_chunk": 0.25}
    trace = tree(
        span(0, "r", 0, 1000), span(1, "chat a", 0, 1000, **streamed), span(1, "chat b", 0, 1000, **cached)
    )
    root = parsed(trace)
    _, (whole, waiting), (pale,) = bars(root)
    assert (waiting[0], round((waiting[1] + 1) / whole[1], 2)) == ("#b4d0fa", 0.25)
    assert pale[0] == "#b4d0fa"
    assert texts(root)[-2:] == ["first token", "from cache"]


def test_bars_share_one_axis_with_round_ticks():
    trace = tree(span(0, "r", 0, 2000), span(1, "a", 500, 1000), span(1, "b", 1999, 1))
    root = parsed(trace)
    (whole,), (half,), (least,) = bars(root)
    assert round(half[1] / whole[1], 2) == 0.5
    assert least[1] == 2
    assert [text for text in texts(root) if text.endswith(" s") or text == "0"][1:6] == [
        "0",
        "0.5 s",
        "1 s",
        "1.5 s",
        "2 s",
    ]


@pytest.mark.parametrize("depth", range(1, 9))
def test_a_name_is_cut_off_only_when_there_is_no_room(depth):
    above = [span(level, f"step {level}", 0, 9) for level in range(depth)]
    shown = texts(parsed(tree(*above, span(depth, "embeddings hashed-tfidf-256", 0, 9))))
    assert "embeddings hashed-tfidf-256" in shown


def test_the_header_has_the_totals():
    shown = texts(parsed(SUPERVISOR))
    assert shown[:10] == [
        *("invoke_workflow report", "trace 4bf92f3577b34da6a3ce929d0e0e4736", "21.4 s", "23 spans"),
        *("24,860", "tokens: 21,885 in, 2,975 out", "$0.0690", "cost"),
        *("1 unpriced", "of 5 model calls (unknown_model)"),
    ]


def test_embeddings_without_a_price_do_not_stand_out():
    lookup = span(1, "embeddings x", 0, 1, **usage(9))
    colours = [
        {text.get("fill") for text in parsed(tree(span(0, "rag", 0, 9), lookup, *more)).iter(f"{SVG}text")}
        for more in ((), [span(1, "chat x", 0, 1, **usage(9))])
    ]
    assert ["#9a6700" in each for each in colours] == [False, True]
    assert "unpriced" in texts(parsed(tree(span(0, "rag", 0, 9), lookup)))


def test_a_trace_of_one_span_without_duration_is_drawn():
    assert texts(parsed(tree(span(0, "retrieval", 0, 0, **found(3, 0.5)))))[2] == "0 µs"


@pytest.mark.parametrize("name", TRACES)
def test_the_same_spans_give_the_same_picture_in_any_order(name):
    shuffled = random.Random(7).sample(TRACES[name].spans, len(TRACES[name].spans))
    assert render_svg(Trace.of(shuffled)) == render_svg(TRACES[name])


def tooltips(svg: str) -> list[str]:
    return [found.text or "" for found in ElementTree.fromstring(svg).iter(f"{SVG}title")]


def test_tooltips_have_the_beginning_of_what_was_recorded():
    found = tooltips(render_svg(CAPTURED))
    [asked] = [lines for lines in map(str.splitlines, found) if lines[0].startswith("chat gpt-4o · 1.28 s")]
    assert asked[1:] == [
        "system: Answer from the context. Be brief.",
        "user: How do I reset my password?",
        "assistant: Open Settings [1].",
    ]
    [searched] = [lines for lines in map(str.splitlines, found) if "product-docs" in lines[0]]
    assert searched[1:] == ["query: reset password", "1. doc-7: Open Settings.", "2. doc-2: No."]


def test_tooltips_of_recorded_texts_are_short_and_escaped():
    said = messages(*(("user", f"{text} {'long ' * 1_000}") for text in NASTY.values()))
    trace = tree(span(0, "chat", 0, 5, gen_ai__operation__name="chat", gen_ai__input__messages=said))
    [tooltip] = tooltips(render_svg(trace))
    facts, *lines = tooltip.splitlines()
    assert len(lines) == limits.TOOLTIP_TEXTS
    assert all(line.endswith("…") and len(line) == limits.LINE_CHARACTERS + 1 for line in lines)
    assert "script" not in facts
    assert all(line.isprintable() for line in lines)


def test_tooltips_have_no_content_where_none_was_recorded():
    assert all("\n" not in tooltip for tooltip in tooltips(render_svg(FAN)))
