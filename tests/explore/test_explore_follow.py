from records import span

from otel_callbacks.explore import Traces
from otel_callbacks.explore.commands.follow import Follower
from otel_callbacks.explore.index.database import Index


def following(*spans):
    """A follower that starts after `spans`, and a function that adds more spans."""
    index = Index()
    index.add(spans)
    return Follower(Traces(lambda: index)), lambda *more: index.add(more)


def names(new):
    return [
        [[each.name for each in trace.spans] for trace in traces] for traces in (new.complete, new.growing)
    ]


def test_earlier_traces_are_not_shown():
    follower, _ = following(span("a", "1"))
    assert names(follower.poll(0)) == [[], []]


def test_a_trace_grows_until_its_root_is_there_and_is_complete_once():
    follower, add = following()
    add(span("a", "2", "1"))
    assert names(follower.poll(0)) == [[], [["2"]]]
    add(span("a", "3", "1"))
    assert names(follower.poll(1)) == [[], [["2", "3"]]]
    add(span("a", "1", start_ns=0))
    assert names(follower.poll(2)) == [[["1", "2", "3"]], []]
    assert names(follower.poll(3)) == [[], []]


def test_a_trace_without_a_root_is_complete_after_a_quiet_time():
    follower, add = following(span("a", "3", "2"))
    add(span("a", "2", "1", start_ns=0))
    assert names(follower.poll(10)) == [[], [["2", "3"]]]
    assert names(follower.poll(14.9)) == [[], [["2", "3"]]]
    assert names(follower.poll(15)) == [[["2", "3"]], []]


def test_a_later_span_shows_the_trace_again():
    follower, add = following()
    add(span("a", "1"))
    follower.poll(0)
    add(span("a", "2", "1"))
    assert names(follower.poll(1)) == [[["1", "2"]], []]


def test_a_trace_that_ends_during_a_poll_is_complete_once():
    index = Index()
    coming = [[], [span("a", "2", "1")], [span("a", "1", start_ns=0)]]  # before each look at the index

    def look():
        index.add(coming.pop(0) if coming else [])
        return index

    follower = Follower(Traces(look))
    assert names(follower.poll(0)) == [[["1", "2"]], []]
    assert names(follower.poll(1)) == [[], []]
