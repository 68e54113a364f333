"""Every bound of the package: its value, what happens when it is reached, and why it is there.

A bound protects the application's memory or time. Nothing alive is ever evicted, and nothing is left out silently: an
attribute, a counter or a log line says so. The sections are the rooms.
"""

# operations: what is read of payloads


# runs: what is remembered of runs


# privacy: how much content is written and searched


# cost: what is remembered of prices, budgets and labels


# rag: how much of documents and prompts is compared


# recording: what a span and the metrics carry


# langchain, llama_index, manual: what handlers keep


# export: how much waits for a back end

# Further spans are dropped and counted in `Telemetry.stats()`, events with a warning; the SDK's default.
QUEUE_ITEMS = 2_048
# A full batch is sent at once and the rest waits for the next; the SDK's default.
BATCH_ITEMS = 512
# A larger batch is split into several requests; collectors refuse more than 4 MiB by gRPC, and sizes are estimates.
REQUEST_BYTES = 2 * 1024 * 1024
# Further collections are dropped with a warning; each holds all metrics, and later ones hold the same totals.
METRIC_EXPORTS_WAITING = 8

# explore: how much is read, kept and drawn


# demo: what the corpus, the local model and its server hold

# Documentation is cut at the end of a line before this; a few documents then fit into any prompt.
DEMO_DOCUMENT_CHARACTERS = 1_600
# The least recently used stem is worked out again; a corpus has fewer words.
DEMO_STEMS_REMEMBERED = 50_000
# The oldest prompt is forgotten and no longer counts as cached; comparing with all of them takes time.
DEMO_PROMPTS_REMEMBERED = 64
# A larger request is refused with status 413; no prompt or batch of texts to embed comes near it.
DEMO_REQUEST_BYTES = 64 * 1024 * 1024
# A larger vector is refused with status 400; each dimension takes memory for every text.
DEMO_VECTOR_DIMENSIONS = 4_096
