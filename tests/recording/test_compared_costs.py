"""The costs that README and documentation show are those that were measured."""

import report


def test_no_table_differs_from_what_was_measured() -> None:
    """If one does: `make bench`, or `python benchmarks/report.py` if only the form has changed."""
    assert report.stale() == []
