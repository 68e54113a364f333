"""Passes over what happens in a run whose span the sampler dropped: there, it is enough to know that run."""

from llama_index_instrumentation.dispatcher import active_instrument_tags
from opentelemetry.context import get_current

from otel_callbacks.llama_index import inference, workflows
from otel_callbacks.llama_index.report import Report
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runs.current_span import CurrentSpan, span_in
from otel_callbacks.runs.run import Run
from otel_callbacks.runs.sampling import is_dropped
from otel_callbacks.runs.surroundings import enclosing_run

_MAY_OUTLIVE = (workflows.start_workflow, inference.start_streamed_chat, inference.start_streamed_completion)
"""What starts the runs that always are started: a stream may be read when the run above has ended, and a workflow may
wait and go on in another trace."""


def is_passed_over(run: Run, recorder: Recorder, report: Report) -> bool:
    """Tells whether a report below a run needs none of its own, because no span records it and nothing counts it.

    The caller must be in the body of that run, where no trace of the application's own has begun, and the tags of the
    call must name nobody else who pays: the body may send that to another process.
    """
    if report.method.start in _MAY_OUTLIVE or run.recorder is not recorder:
        return False
    if not run.uncounted and not recorder.is_uncounted(run):
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
