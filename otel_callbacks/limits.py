"""Every bound of the package: its value, what happens when it is reached, and why it is there.

A bound protects the application's memory or time. Nothing alive is ever evicted, and nothing is left out silently: an
attribute, a counter or a log line says so. The sections are the rooms.
"""

# operations: what is read of payloads


# runs: what is remembered of runs


# privacy: how much content is written and searched


# cost: what is remembered of prices, budgets and labels

# The least recently used price must be looked up again (0.1 ms): an application can use any number of model names.
PRICES_REMEMBERED = 2_048
# The least recently used name must be parsed again: an invoice can name any number of models.
MODEL_NAMES_REMEMBERED = 1_024
# Further unpriced models are not logged, so that the log stays readable: spans and a metric still show each call.
UNPRICED_MODELS_LOGGED = 1_000
# The oldest period is forgotten: late calls add to a period that is over, but none is eight periods late.
BUDGET_PERIODS_KEPT = 8
# Once calls have waited this long in total, they are `unpriced` (no_price_source): a starting server must not stall.
PRICE_LIST_WAIT_SECONDS = 5.0
# The same for calls on an event loop, which is blocked while they wait.
PRICE_LIST_WAIT_ON_LOOP_SECONDS = 0.3
# A rate with more digits is refused with an error: products and sums must fit in `DECIMAL_DIGITS`.
RATE_DIGITS = 24
# A call that reports this many tokens is `unpriced` (invalid_usage): its cost might not fit in `DECIMAL_DIGITS`.
TOKENS_OF_A_CALL = 10**15
# With more digits, pricing a call fails and a report's sum is rounded: no real amount has that many.
DECIMAL_DIGITS = 120


# rag: how much of documents and prompts is compared


# recording: what a span and the metrics carry


# langchain, llama_index, manual: what handlers keep


# export: how much waits for a back end


# explore: how much is read, kept and drawn

# The oldest trace is forgotten, which the log says once: a notebook may run for days.
RECENT_TRACES = 100
RECENT_TRACES_BYTES = 32_000_000
# The file is rotated: old traces can then be deleted without the new ones.
TRACE_FILE_BYTES = 64_000_000
TRACE_FILE_DAYS = 30
# The oldest rotated file is deleted, as `JsonLinesSpanExporter` says: traces must not fill the disk.
TRACE_FILES = 5
# The other spans of a file are indexed in the next batch: a big file does not fit in memory.
INDEX_BATCH_SPANS = 10_000
# The resource used longest ago is parsed again when needed: nearly all spans of a process share one.
RESOURCES_CACHED = 100
# The next span goes into the next request: gRPC servers reject messages of more than 4 MiB by default.
REPLAY_REQUEST_BYTES = 3_000_000
# The replay stops with an error and can be resumed: retries cover a restart of the endpoint, not an outage.
REPLAY_ATTEMPTS = 5
# The fifth and later ones become one row, "… 38 more chat gpt-4o": more of the same tells nothing new.
ALIKE_SIBLINGS = 5
# The other names in a folded row are counted as "3 other": more do not fit.
FOLDED_NAMES = 2
# Siblings and deep levels are folded, "… 38 more" and "+14": a picture should fit on a screen.
PICTURE_ROWS = 40
PICTURE_LEVELS = 10
# Even then, a span shows this many children: with fewer, the first, the last and the failing one do not fit.
PICTURE_CHILDREN = 6
# Deeper names are not indented further: no room would be left for them.
INDENTED_LEVELS = 9
# "… and 4 other failures" follows: every failed bar is red anyway.
PICTURE_ERRORS = 3
# The tooltip of a bar ends in "…": an error message may be a whole page.
TOOLTIP_CHARACTERS = 400
# A name or title ends in "…": an application may use a prompt as a name.
LINE_CHARACTERS = 200
# "… 3 more documents" (retrievals, model calls, errors) follows: a notebook file stores all it shows.
HTML_DOCUMENTS = 20
HTML_SPANS = 12
# "38 messages before" stands for the earlier messages of a prompt: the last ones are the new ones.
HTML_MESSAGES = 12
# "… about 1,200 more characters" follows: a notebook file stores all it shows; a page is for reading.
EXCERPT_CHARACTERS = 600
PAGE_EXCERPT_CHARACTERS = 20_000
# "… 12 more steps" and "and 4 more" follow: `Diff.steps` has all of them.
DIFF_STEPS = 60
DIFF_DOCUMENTS = 3
# "2 earlier traces not shown" follows: `traces` has all of them.
CELL_TRACES = 3


# demo
