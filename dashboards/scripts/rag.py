"""The dashboard *RAG*: what retrievals find, and what of it reaches prompts and answers."""

import promql
from grafana import OVER, SERVICE, Dashboard, Panel, legend
from shapes import failing, per_second, percentiles

from otel_callbacks import semconv

_RETRIEVALS = promql.name(semconv.METRIC_RAG_RETRIEVALS)
_SOURCE = semconv.DATA_SOURCE_ID
_FOUND = promql.total(promql.name(semconv.METRIC_RAG_DOCUMENTS), [], [SERVICE], OVER)


def _of_found(metric: str) -> str:
    return promql.share(promql.total(promql.name(metric), [], [SERVICE], OVER), _FOUND)


_SEARCHES = [
    per_second("Retrievals", _RETRIEVALS, _SOURCE),
    Panel(
        "Empty retrievals",
        {
            legend(_SOURCE): promql.share(
                promql.total(
                    _RETRIEVALS, [_SOURCE], [SERVICE, promql.one_of(semconv.RAG_EMPTY, "true")], OVER
                ),
                promql.total(_RETRIEVALS, [_SOURCE], [SERVICE, promql.has(semconv.RAG_EMPTY)], OVER),
            )
        },
        "percentunit",
        "The share of the retrievals that found nothing, of those that said what they found.",
    ),
    Panel(
        "Failing retrievals",
        {
            "": promql.share(
                promql.total(
                    promql.name(semconv.METRIC_OPERATIONS),
                    [],
                    [
                        SERVICE,
                        promql.one_of(semconv.OPERATION_NAME, semconv.RETRIEVAL),
                        promql.has(semconv.ERROR_TYPE),
                    ],
                    OVER,
                ),
                promql.total(
                    promql.name(semconv.METRIC_OPERATIONS),
                    [],
                    [SERVICE, promql.one_of(semconv.OPERATION_NAME, semconv.RETRIEVAL)],
                    OVER,
                ),
            )
        },
        "percentunit",
    ),
]
_DOCUMENTS = [
    Panel(
        "Documents of a retrieval",
        {
            legend(_SOURCE): " / ".join(
                promql.total(promql.name(metric), [_SOURCE], [SERVICE], OVER)
                for metric in (semconv.METRIC_RAG_DOCUMENTS, semconv.METRIC_RAG_RETRIEVALS)
            )
        },
        text="How many documents a retrieval returns on average.",
    ),
    Panel(
        "Documents that reach the prompt and the answer",
        {
            "in the prompt": _of_found(semconv.METRIC_RAG_DOCUMENTS_IN_PROMPT),
            "cited": _of_found(semconv.METRIC_RAG_DOCUMENTS_CITED),
        },
        "percentunit",
        "Of the documents that were found. A fall says that a reranker, a splitter or a limit throws them away.",
    ),
    Panel(
        "Top score",
        {
            f"p{part * 100:.0f} {legend(_SOURCE)} ({legend(semconv.RAG_SCORE_KIND)})": promql.quantile(
                part, semconv.METRIC_RAG_TOP_SCORE, [_SOURCE, semconv.RAG_SCORE_KIND], [SERVICE], OVER
            )
            for part in (0.05, 0.5)
        },
        text="The score of the best document, in the retriever's own unit: compare it with itself alone.",
    ),
]
_TIMES = [
    percentiles(
        "Retrievals",
        semconv.METRIC_CLIENT_OPERATION_DURATION,
        semconv.OPERATION_NAME,
        promql.one_of(semconv.OPERATION_NAME, semconv.RETRIEVAL),
    ),
    percentiles(
        "Embeddings",
        semconv.METRIC_CLIENT_OPERATION_DURATION,
        semconv.REQUEST_MODEL,
        promql.one_of(semconv.OPERATION_NAME, semconv.EMBEDDINGS),
    ),
    percentiles("Rerankers", semconv.METRIC_RERANK_DURATION, semconv.RAG_RERANK_MODEL),
    failing(
        "Failing rerankers",
        f"{promql.name(semconv.METRIC_RERANK_DURATION)}_count",
        semconv.RAG_RERANK_MODEL,
        width=24,
    ),
]

RAG = Dashboard("rag", "RAG", {"Retrievals": _SEARCHES, "Documents": _DOCUMENTS, "How long it takes": _TIMES})
