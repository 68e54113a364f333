from hypothesis import given
from hypothesis import strategies as st
from span_trees import span, tree

from otel_callbacks.explore.pictures.folding import rows

NAMES = st.sampled_from(["chat a", "chat b", "execute_tool t", "step"])
SPANS = st.lists(
    st.tuples(st.integers(0, 6), NAMES, st.sampled_from([None, None, None, "E: e"])), max_size=200
)


def made(described):
    """A tree of the described spans, each at most one deeper than the one before."""
    spans, depth = [span(0, "root", 0, 1000)], 0
    for number, (wanted, name, error) in enumerate(described):
        depth = max(1, min(wanted, depth + 1))
        spans.append(span(depth, name, number, 1, error=error))
    return tree(*spans)


@given(SPANS)
def test_every_span_is_in_exactly_one_row(described):
    trace = made(described)
    shown = [each.span_id for row in rows(trace, 40) for each in (*row.spans, *row.hidden)]
    assert sorted(shown) == sorted(each.span_id for each in trace.spans)


@given(SPANS, st.integers(10, 60))
def test_there_are_never_more_rows_than_the_limit(described, limit):
    assert len(rows(made(described), limit)) <= limit


@given(SPANS)
def test_a_row_is_one_level_below_its_parent(described):
    trace = made(described)
    depths = {}
    for row in rows(trace, 40):
        depths.update((each.span_id, row.depth) for each in row.spans)
        assert {depths.get(each.parent_id, -1) for each in row.spans} == {row.depth - 1}


def test_a_trace_that_fits_is_shown_in_full():
    trace = made([(1, f"step {number}", None) for number in range(39)])
    assert len(rows(trace, 40)) == 40
    assert not any(row.folded or row.hidden for row in rows(trace, 40))
