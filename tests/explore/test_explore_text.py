import unicodedata

import pytest
from span_trees import AGENT, RAG, SUPERVISOR, span, tree, usage

from otel_callbacks.explore import render_text
from otel_callbacks.explore.pictures.formatting import format_cost, format_duration


def check(trace, expected, width=100):
    """`expected` starts on a line of its own, so that a snapshot looks like the terminal."""
    assert "\n" + render_text(trace, width) == expected.rstrip()


def test_a_rag_chain():
    check(
        RAG,
        """
invoke_workflow rag · 1.42 s · 2,322 tokens · $0.0054 · trace 4bf92f3577b34da6a3ce929d0e0e4736
├─ retrieval product-docs               43 ms  20 docs, best 0.831
│  └─ embeddings text-embedding-3-sm…   31 ms     12 tok        <$0.0001
├─ rerank bge-reranker-v2-m3            88 ms  20 → 4 docs, best 0.973
├─ format_docs                         400 µs
└─ chat gpt-4o                         1.28 s  2,184 → 126 tok   $0.0054  1,024 cached · TTFT 180 ms
""",
    )


def test_an_agent_with_a_failing_tool():
    check(
        AGENT,
        """
invoke_agent support · 6.21 s · 6,010 tokens · $0.0156 · 1 error · 4bf92f3577b34da6a3ce929d0e0e4736
├─ model                         1.20 s
│  └─ chat gpt-4o                1.18 s    812 → 41 tok  $0.0024
├─ tools                          40 ms
│  └─ execute_tool lookup_order   31 ms
├─ model                         1.23 s
│  └─ chat gpt-4o                1.22 s  1,232 → 54 tok  $0.0034  768 cached
├─ tools                         220 ms  ✗ ValueError
│  └─ execute_tool lookup_order  210 ms  ✗ ValueError: order 'A-1002' not found
├─ model                         1.26 s
│  └─ chat gpt-4o                1.25 s  1,652 → 67 tok  $0.0044  768 cached
├─ tools                         130 ms
│  ├─ execute_tool refund        120 ms
│  └─ execute_tool lookup_order   31 ms
└─ model                         2.05 s
   └─ chat gpt-4o                2.04 s  2,072 → 80 tok  $0.0054  768 cached
""",
    )


def test_a_supervisor_with_agents():
    check(
        SUPERVISOR,
        """
invoke_workflow report · 21.4 s · 24,860 tokens · $0.0690 · 1 unpriced · 1 error · 4bf92f35…
└─ invoke_agent supervisor                    21.4 s
   ├─ chat gpt-4o                             910 ms     640 →    28 tok   $0.0019
   ├─ execute_tool transfer_to_researcher     9.00 s
   │  └─ invoke_agent researcher              8.99 s
   │     ├─ chat claude-sonnet-4-5            1.89 s   1,502 →   211 tok   $0.0077
   │     ├─ execute_tool web_search           380 ms
   │     ├─ execute_tool web_search           380 ms
   │     ├─ execute_tool web_search           380 ms
   │     ├─ execute_tool web_search           380 ms
   │     ├─ … 8 more execute_tool web_search  3.18 s
   │     ├─ execute_tool web_search           402 ms  ✗ ReadTimeout: timed out
   │     └─ chat claude-sonnet-4-5            1.59 s  14,203 →   842 tok   $0.0552  1,400 cached
   ├─ invoke_agent writer                     10.9 s
   │  └─ chat acme-7b                         10.9 s   4,120 → 1,830 tok  unpriced  length · (unkno…
   └─ chat gpt-4o                             480 ms   1,420 →    64 tok   $0.0042  abandoned
""",
    )


def test_a_narrow_terminal_costs_names_before_numbers():
    check(
        RAG,
        """
invoke_workflow rag · 1.42 s · 2,322 tokens · $0.0054 · 4bf92f35…
├─ retrieval product-docs      43 ms  20 docs, best 0.831
│  └─ embeddings text-embed…   31 ms     12 tok        <$0.0001
├─ rerank bge-reranker-v2-m3   88 ms  20 → 4 docs, best 0.973
├─ format_docs                400 µs
└─ chat gpt-4o                1.28 s  2,184 → 126 tok   $0.0054  1,02…
""",
        width=70,
    )


def test_a_single_span_says_everything_in_the_header():
    check(
        tree(span(0, "chat gpt-4o", 0, 800, error="RateLimitError: slow down", **usage(10, 0, 0.0))),
        """
chat gpt-4o · 800 ms · 10 tokens · $0 · 1 error · ✗ RateLimitError: slow down · 4bf92f35…
""",
    )


def test_several_roots_get_a_row_each():
    check(
        tree(span(0, "chat a", 0, 1), span(0, "chat b", 2, 1), span(1, "parse", 2, 1)),
        """
chat a + 1 more root · 3 ms · trace 4bf92f3577b34da6a3ce929d0e0e4736
├─ chat a    1 ms
└─ chat b    1 ms
   └─ parse  1 ms
""",
    )


def test_a_call_answered_by_the_cache_of_the_framework_is_free():
    cached = {"gen_ai.usage.cost_usd": 0.0, "otel_callbacks.cost.status": "cached"}
    check(
        tree(span(0, "rag", 0, 1), span(1, "chat gpt-4o", 0, 1, **cached)),
        """
rag · 1 ms · $0 · trace 4bf92f3577b34da6a3ce929d0e0e4736
└─ chat gpt-4o  1 ms  $0  from cache
""",
    )


def test_like_siblings_fold_into_their_sum_and_errors_stay_visible():
    calls = [span(1, "chat gpt-4o", n, 1, **usage(100, 10, 0.001)) for n in range(300)]
    failing = [span(1, "chat gpt-4o", 300 + n, 1, error="RateLimitError: 429") for n in range(198)]
    check(
        tree(span(0, "batch", 0, 500), *calls, *failing, span(1, "chat gpt-4o", 499, 1, **usage(7))),
        """
batch · 500 ms · 33,007 tokens · $0.3000 · 1 unpriced · 198 errors · 4bf92f3577b34da6a3ce929d0e0e4736
├─ chat gpt-4o               1 ms     100 →    10 tok   $0.0010
├─ chat gpt-4o               1 ms     100 →    10 tok   $0.0010
├─ chat gpt-4o               1 ms     100 →    10 tok   $0.0010
├─ chat gpt-4o               1 ms     100 →    10 tok   $0.0010
├─ … 296 more chat gpt-4o  296 ms  29,600 → 2,960 tok   $0.2960
├─ chat gpt-4o               1 ms  ✗ RateLimitError: 429
├─ chat gpt-4o               1 ms  ✗ RateLimitError: 429
├─ chat gpt-4o               1 ms  ✗ RateLimitError: 429
├─ chat gpt-4o               1 ms  ✗ RateLimitError: 429
├─ … 194 more chat gpt-4o  194 ms  ✗ 194 errors
└─ chat gpt-4o               1 ms       7 tok          unpriced
""",
        width=101,
    )


def test_a_folded_row_sums_up_what_is_below_it():
    turns = [
        part
        for n in range(6)
        for part in (
            span(1, "turn", n, 1),
            span(2, "chat acme", n, 1, **usage(10, 1)),
            span(2, "x", n, 1, "E"),
        )
    ]
    text = render_text(tree(span(0, "agent", 0, 6), *turns))
    assert text.splitlines()[-1] == "└─ … 2 more turn  2 ms  20 → 2 tok  unpriced  ✗ 2 errors · 2 unpriced"


def test_a_call_alone_says_once_why_it_has_no_price():
    reason = {"otel_callbacks__cost__unpriced_reason": "no_usage"}
    check(
        tree(span(0, "chat m", 0, 9, otel_callbacks__cost__status="unpriced", **reason)),
        "\nchat m · 9 ms · 1 unpriced (no_usage) · trace 4bf92f3577b34da6a3ce929d0e0e4736",
    )


def test_unpriced_calls_are_counted_and_say_so_in_their_row():
    reason = {"otel_callbacks__cost__unpriced_reason": "unknown_model"}
    lookups = [
        part
        for n in range(3)
        for part in (span(1, f"retrieval {n}", n, 1), span(2, "embeddings x", n, 1, **usage(9), **reason))
    ]
    check(
        tree(span(0, "rag", 0, 9), *lookups, span(1, "chat x", 5, 1, **usage(7))),
        """
rag · 9 ms · 34 tokens · 4 unpriced (3 unknown_model) · trace 4bf92f3577b34da6a3ce929d0e0e4736
├─ retrieval 0      1 ms
│  └─ embeddings x  1 ms  9 tok  unpriced  (unknown_model)
├─ retrieval 1      1 ms
│  └─ embeddings x  1 ms  9 tok  unpriced  (unknown_model)
├─ retrieval 2      1 ms
│  └─ embeddings x  1 ms  9 tok  unpriced  (unknown_model)
└─ chat x           1 ms  7 tok  unpriced
""",
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two\nlines", "two lines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("right\u202eleft", "right\\u202eleft"),
        ("nul\0", "nul\\x00"),
        ("\udcff", "\\udcff"),
        ("检索 文档", "检索 文档"),
    ],
)
def test_control_characters_do_not_reach_the_terminal(name, shown):
    text = render_text(tree(span(0, name, 0, 1), span(1, name, 0, 1, error=f"{name}: {name}")))
    assert text.splitlines()[1].startswith(f"└─ {shown}  ")
    assert text.replace("\n", "").isprintable()


def columns(line):
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


@pytest.mark.parametrize("trace", [RAG, AGENT, SUPERVISOR])
@pytest.mark.parametrize("width", [20, 50, 80, 120])
def test_no_line_is_wider_than_the_given_width(trace, width):
    assert max(map(columns, render_text(trace, width).splitlines())) <= width


def test_wide_characters_keep_columns_aligned():
    long = "检索" * 40
    lines = render_text(tree(span(0, "r", 0, 1), span(1, long, 0, 1), span(1, "ascii", 0, 1))).splitlines()
    assert columns(lines[1]) == columns(lines[2]) == 100
    assert lines[1].endswith("…  1 ms")


def test_a_very_deep_trace_keeps_its_names():
    text = render_text(tree(*(span(depth, f"step {depth}", depth, 1) for depth in range(2000))), 60)
    last = text.splitlines()[-1]
    assert "step 1999" in last
    assert len(last) <= 60


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0 µs"), (0.00082, "820 µs"), (0.00099999, "1 ms"), (0.0314, "31 ms"), (0.9999, "1.00 s")),
        *((1.424, "1.42 s"), (9.999, "10.0 s"), (59.99, "1 min 00 s"), (125, "2 min 05 s")),
        *((3599.9, "1 h 00 min"), (11220, "3 h 07 min")),
    ],
)
def test_durations_choose_their_unit(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [(0, "$0"), (2e-7, "<$0.0001"), (0.00005, "$0.0001"), (0.0121, "$0.0121"), (1234.5, "$1,234.50")],
)
def test_costs_keep_four_digits_of_small_sums(usd, text):
    assert format_cost(usd) == text
