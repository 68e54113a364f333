"""Hides runs: those that get no span of their own, and are found as the nearest run above that has one."""

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.context import Context

from otel_callbacks.cost.attribution import LabelResolver
from otel_callbacks.runs.context_variable import current_context
from otel_callbacks.runs.run import BodyLabels, Run
from otel_callbacks.runs.sampling import is_dropped
from otel_callbacks.runs.surroundings import (
    Surroundings,
    find_surroundings,
    make_hidden_run_current,
    own_stand_in,
)

FindInside = Callable[[], Callable[[], bool] | None]
"""Returns what tells whether the calling code is in the body of a hidden run. Asked only where that matters."""


def hide(
    resolver: LabelResolver,
    key: Any,
    run: Run,
    body: BodyLabels | None,
    metadata: Mapping[str, Any] | None,
    find_inside: FindInside,
) -> None:
    """Starts a run that gets no span and is found as `run`, the nearest one above it that has one.

    Args:
        resolver: decides who pays in its body.
        key: the framework's id of the hidden run.
        run: the run that has a span.
        body: who pays in the body that the framework names by id.
        metadata: the metadata of LangChain's call, which may name who pays.
        find_inside: see `FindInside`.
    """
    context = current_context()
    if not _hide_within(resolver, key, run, body, metadata, context):
        around = find_surroundings(run, run.open_runs)
        _hide_beside(resolver, key, run, body, metadata, around, find_inside)


def hide_dropped(
    resolver: LabelResolver, key: Any, parent: Run, parent_key: Any, metadata: Mapping[str, Any] | None
) -> bool:
    """Hides a run below a dropped one, unless the application has begun a trace of its own there; tells whether it did.

    Args:
        resolver: see `hide`.
        key: the framework's id of the run.
        parent: the dropped run above it, or the one that stands for a hidden run above it.
        parent_key: the id of the run above it.
        metadata: see `hide`.
    """
    body, hidden = parent.body_labels, parent.hidden_labels
    if hidden is not None:
        body = hidden.get(parent_key, body)
    if _hide_within(resolver, key, parent, body, metadata, current_context()):
        return True
    around = find_surroundings(parent, parent.open_runs)
    if around.are_within(parent) and not is_dropped(around.span):
        return False
    _hide_beside(resolver, key, parent, body, metadata, around, _anywhere)
    return True


def _hide_within(
    resolver: LabelResolver,
    key: Any,
    run: Run,
    body: BodyLabels | None,
    metadata: Mapping[str, Any] | None,
    context: Context,
) -> bool:
    """Hides a run where `run` is the innermost and nobody else pays, which is nearly always; tells whether it is so."""
    here = own_stand_in(run, context)
    if here is None:
        return False
    labels = run.body_labels
    if resolver.labels_of_hidden_run(key, body or labels, body, context, metadata) is not labels:
        return False
    if key != run.key:  # else the same id again, after the end, and as its own parent
        run.add_hidden_run(key, None)
    return True


def _hide_beside(
    resolver: LabelResolver,
    key: Any,
    run: Run,
    body: BodyLabels | None,
    metadata: Mapping[str, Any] | None,
    around: Surroundings,
    find_inside: FindInside,
) -> None:
    """Hides a run whose body is perhaps not in that of `run`, or where somebody else pays."""
    if key == run.key:
        return
    labels = around.labels_at(run, around.run if around.are_within(run) else run, body)
    labels = resolver.labels_of_hidden_run(key, labels, body, around.context, metadata)
    if run.add_hidden_run(key, None if labels is run.body_labels else labels):
        make_hidden_run_current(run, key, find_inside(), around, labels)


def _anywhere() -> None:
    """Tells of a run below a dropped one that its body may be anywhere."""
