"""What users and evaluators said about a trace: the feedback that `record_feedback` writes, as part of that trace."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from otel_callbacks import semconv
from otel_callbacks.explore.spans.attributes import number
from otel_callbacks.explore.spans.records import SpanRecord

_THUMBS = {"thumbs up": "👍", "thumbs down": "👎"}
_GOOD, _BAD = frozenset({"pass", "yes", "good", "true"}), frozenset({"fail", "no", "bad", "false"})


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One judgement of a trace, or of its span `span_id`; `time_ns` is when it was recorded. The rest may be None."""

    name: str
    score: float | None
    label: str | None
    explanation: str | None
    span_id: str | None
    time_ns: int
    span: SpanRecord

    @classmethod
    def of(cls, span: SpanRecord) -> Self:
        """Reads the span that holds a judgement, one whose `evaluates` is set."""
        attributes = span.attributes
        label, explanation = (
            attributes.get(name) for name in (semconv.EVALUATION_SCORE_LABEL, semconv.EVALUATION_EXPLANATION)
        )
        judged = span.links[0].span_id
        return cls(
            name=str(attributes[semconv.EVALUATION_NAME]),
            score=number(attributes.get(semconv.EVALUATION_SCORE_VALUE)),
            label=label if isinstance(label, str) else None,
            explanation=explanation if isinstance(explanation, str) else None,
            span_id=judged if judged.strip("0") else None,
            time_ns=span.start_ns,
            span=span,
        )

    @property
    def value(self) -> str:
        """The score and the label: `1.0`, `pass` or `0.25 partly`."""
        score = (
            None
            if self.score is None
            else f"{self.score:.1f}"
            if self.score % 1 == 0
            else f"{self.score:.3g}"
        )
        label = None if self._said in _THUMBS else self.label
        return " ".join(filter(None, (score, label)))

    @property
    def thumb(self) -> str:
        """A thumb where the judgement is plain: a score of 1, a score of 0 or less, or a label such as `pass`."""
        said = self._said
        if said in _THUMBS:
            return _THUMBS[said]
        if self.score == 1 or (self.score is None and said in _GOOD):
            return "👍"
        if (self.score is not None and self.score <= 0) or (self.score is None and said in _BAD):
            return "👎"
        return ""

    @property
    def _said(self) -> str:
        return (self.label or "").strip().lower()

    def __str__(self) -> str:
        return " ".join(filter(None, (self.name, self.value, self.thumb)))


def evaluations(spans: Iterable[SpanRecord]) -> tuple[Evaluation, ...]:
    """Returns the judgements among `spans`, in the order in which they were recorded."""
    return tuple(
        sorted((Evaluation.of(span) for span in spans if span.evaluates), key=lambda each: each.time_ns)
    )
