"""Passes over what happens in a run whose span the sampler dropped: there, it is enough to know that run."""

from llama_index_instrumentation.dispatcher import active_instrument_tags
from opentelemetry.context import get_current

from otel_callbacks.llama_index import workflows
from otel_callbacks.llama_index.traced_methods import Method
from otel_callbacks.runs.current_span import CurrentSpan, span_in
from otel_callbacks.runs.run import Run
from otel_callbacks.runs.sampling import is_dropped
from otel_callbacks.runs.surroundings import enclosing_run


def is_passed_over(run: Run, method: Method) -> bool:
    """Tells whether a report below a run needs none of its own, because no span records it and nothing counts it.

    The caller must be in the body of that run, where no trace of the application's own has begun, and the tags of the
    call must name nobody else who pays: the body may send that to another process. A workflow always gets a run: it may
    wait, and go on in another trace.
    """
    recorder = run.recorder
    if method.start is workflows.start_workflow or not (run.uncounted or recorder.is_uncounted(run)):
        return False
    context = get_current()
    here = span_in(context)
    if type(here) is not CurrentSpan or here.run is not run:
        is_inside = is_dropped(here) and enclosing_run(context, run.open_runs) is run
    else:  # the quick way, for nearly all
        is_inside = here.is_current()
    if is_inside and (tags := active_instrument_tags.get()):
        paid = recorder.attribution.labels_of_run(run.key, run.body_labels, None, context, None, tags)
        is_inside = paid.tags == run.body_labels.tags
    recorder.prompt_caches.unseen += is_inside  # it may be a model call
    return is_inside
