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


# demo
