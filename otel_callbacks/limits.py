"""Every bound of the package: its value, what happens when it is reached, and why it is there.

A bound protects the application's memory or time. Nothing alive is ever evicted, and nothing is left out silently: an
attribute, a counter or a log line says so. The sections are the rooms.
"""

# operations: what is read of payloads


# runs: what is remembered of runs


# privacy: how much content is written and searched


# cost: what is remembered of prices, budgets and labels

# Looked up again, a tenth of a millisecond, when it was used longest ago: applications make up model names.
PRICES_REMEMBERED = 2_048
# Read again when it was used longest ago: invoices may name any number of models.
MODEL_NAMES_REMEMBERED = 1_024
# More models without a price are no longer logged: each call still says so on its span and in a metric.
UNPRICED_MODELS_LOGGED = 1_000
# The oldest period is forgotten: calls still add to a period that is over, but none runs through eight of them.
BUDGET_PERIODS_KEPT = 8
# A call is `unpriced` (no_price_source) once calls have waited so long in all: a server must not stall at its start.
PRICE_LIST_WAIT_SECONDS = 5.0
# The same for calls on an event loop, which stands still meanwhile.
PRICE_LIST_WAIT_ON_LOOP_SECONDS = 0.3
# A rate with more digits is refused with an error: products and sums must fit in `DECIMAL_DIGITS`.
RATE_DIGITS = 24
# A call that reports as many tokens is `unpriced` (invalid_usage): its cost might not fit in `DECIMAL_DIGITS`.
TOKENS_OF_A_CALL = 10**15
# Pricing a call fails rather than rounds; the sum of a report rounds: no real amount has that many digits.
DECIMAL_DIGITS = 120


# rag: how much of documents and prompts is compared


# recording: what a span and the metrics carry


# langchain, llama_index, manual: what handlers keep


# export: how much waits for a back end


# explore: how much is read, kept and drawn


# demo
