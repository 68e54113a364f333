"""Every bound of the package: its value, what happens when it is reached, and why it is there.

A bound protects the application's memory or time. Nothing alive is ever evicted, and nothing is left out silently: an
attribute, a counter or a log line says so. The sections are the rooms. Only `runtime`, which imports nothing, keeps its
one bound itself (`STACK_FRAMES` in `runtime/faults.py`).
"""

import functools
import logging
from collections.abc import Sequence
from typing import Any

logger = logging.getLogger("otel_callbacks")


@functools.cache
def log_reached(bound: str, effect: str) -> None:
    """Logs, once per process and bound, that a bound was reached and what that changes in the telemetry."""
    logger.warning("otel-callbacks reached its bound %s: %s. It is not logged again.", bound, effect)


def first(values: Sequence[Any], most: int, what: str) -> Sequence[Any]:
    """Returns the first `most` values of a list or tuple. The first time that some are left out, the log says so.

    `most` is one of the bounds below; `what` names the values in the log, such as "documents of a retrieval".
    """
    if len(values) <= most:
        return values
    log_reached(f"of {most:,} {what}", "the others are not read")
    return values[:most]


# operations: what is read of payloads

# More messages, parts, blocks, tools or usage fields are not read: a callback must end within milliseconds. The span
# counts the messages in `otel_callbacks.content.messages_left_out`.
ITEMS_READ = 1_000
# More stop sequences (or other short texts of one list) are not read: no provider accepts as many.
WORDS_READ = 100
# A longer name or id is cut: back ends group by these attributes.
WORD_CHARACTERS = 256
# A longer description of a tool or agent is cut: people read it.
DESCRIPTION_CHARACTERS = 4_096
# A whole number with more bits does not count as a name: Python refuses to write very large ones as text.
NAME_BITS = 512
# A longer text is cut before we look for repetition: no stop reason comes in as many chunks.
REPEATED_CHARACTERS = 4_096
# From longer texts only heads and tails are joined: comparing them with documents takes time for each character.
JOINED_CHARACTERS = 1_000_000
# Longer texts of documents are compared by length, head and tail: two that differ only in the middle are rare.
COMPARED_CHARACTERS = 4_096
# A larger token count of a report counts as not reported, and a call with one is `unpriced` (invalid_usage): it is an
# error of the report, and its cost might not fit in `DECIMAL_DIGITS`.
TOKENS_OF_A_CALL = 10**15
# A larger reported cost is ignored, and the call priced as usual: it is an error of the report.
USD_OF_A_CALL = 1_000_000
# The least recently used results are computed again: addresses and stop reasons repeat, others must not pile up.
CACHED_TEXTS = 1_024
# More usage reports of one call are not read for what the first ones lack: no integration has as many places for one.
USAGE_REPORTS_READ = 8
# The model logged first is logged again: an application may call any number of models whose streams have no usage.
STREAMS_WITHOUT_USAGE_LOGGED = 1_000

# runs: what is remembered of runs

# The hidden run below one span that ended first is forgotten, and a child that starts after that many others attaches
# higher up (logged once); keeps a long loop's memory flat. Hidden runs that go on are never forgotten.
ENDED_HIDDEN_RUNS = 1_000
# `trace_id()` returns None for older calls; an id is kept in case feedback arrives after the call.
ROOT_TRACE_IDS = 4_096
# A conversation resumed later than that has no link to its interrupted root (logged once); many are never resumed.
INTERRUPTED_CONVERSATIONS = 1_024
# With `history="new"`, the message that was sent least recently is recorded in full once more (logged once), so nothing
# is lost; a server's traces would otherwise pile up. All of them take 15 MB at most.
RECORDED_MESSAGES = 20_000
# Only of providers that take no weak reference: those used last are kept alive. What goes on with an older one starts
# anew; an application has one or two.
PROVIDERS_KEPT = 64

# privacy: how much content is written and searched

# The defaults of `ContentPolicy`. More is cut, and `otel_callbacks.content.cut` names the attribute: back ends limit
# the size of attributes, spans and requests.
ATTRIBUTE_CHARACTERS = 49_152
SPAN_CHARACTERS = 65_536
MESSAGES_WRITTEN = 100
# A smaller cap is refused with a ValueError: it would hold little more than the marks of what was cut.
SMALLEST_CAP = 256
# A shorter key is refused with a ValueError: it could be guessed.
SHORTEST_HASH_KEY = 16
# More fields, items, texts and findings of a span are left out, and the attribute is in `otel_callbacks.content.cut`:
# each takes about 8 microseconds.
SPAN_STEPS = 640
# A value that is nested deeper is written as `<nested too deep>`: Python's stack is finite, and values may have cycles.
NESTING_DEPTH = 12
# A longer key of a mapping is cut: it is data, not a name.
KEY_CHARACTERS = 256
# A list of more numbers is written as `<n numbers>`: it is an embedding, which nobody reads.
NUMBERS_WRITTEN = 16
# A longer text is not parsed as JSON, and is written as text: parsing takes time for each character.
PARSED_CHARACTERS = 65_536
# Larger data is described without its hash: decoding and hashing it takes 2 ms per megabyte.
HASHED_BYTES = 1_000_000
# Data URLs in longer texts, and more of them in one text, are not described but cut like text: finding them takes time.
SEARCHED_CHARACTERS = 1_000_000
DATA_URLS_DESCRIBED = 200
# A cut moves back by at most this many combining characters (accents, parts of an emoji): no emoji has many more.
COMBINING_CHARACTERS = 8
# The text after so many findings is left out and marked `[redacted: the rest]`: more would take too long.
FINDINGS_IN_TEXT = 1_000
# Only so much text after a cut is searched for the rest of a secret: few secrets are longer.
SECRET_CHARACTERS = 256
# The least recently used results are computed again: names, types and policies repeat, others must not pile up.
CACHED_NAMES = 4_096
CACHED_PLANS = 4_096
CACHED_TYPES = 1_024
CACHED_POLICIES = 128

# cost: what is remembered of prices, budgets and labels

# The least recently used price must be looked up again (0.1 ms): an application can use any number of model names.
PRICES_REMEMBERED = 2_048
# The least recently used name must be parsed again: an invoice can name any number of models.
MODEL_NAMES_REMEMBERED = 1_024
# Further unpriced models are not logged, so that the log stays readable: spans and a metric still show each call.
UNPRICED_MODELS_LOGGED = 1_000
# Further labels in the metadata of one call are left out (logged once): each is an attribute of every span below.
LABELS_OF_A_CALL = 32
# A span names so many things that cost something (logged once); the sum has the costs of all.
RECORDED_COSTS_NAMED = 20
# A process that is silent for so long has lost its lease of a shared budget, which others can lease then: it died.
BUDGET_LEASE_SECONDS = 15.0
# If it comes back even later, what it spent may count twice: the store must not remember every process for good.
BUDGET_WORKER_REMEMBERED_SECONDS = 3600.0
# A lease is renewed that often, so that a few failures do not lose it, and a new process soon gets its part.
BUDGET_RENEWAL_SECONDS = 0.25
# What was spent is settled after so long, together with what was spent meanwhile: one update for many calls.
BUDGET_SETTLEMENT_SECONDS = 0.05
# Making a budget waits that long for the other processes to make room; no call ever waits.
BUDGET_FIRST_LEASE_SECONDS = 1.0
# While each process can make so many calls, one more part of the budget is held by nobody, for a process that comes.
BUDGET_FEW_CALLS = 50
# The oldest period is forgotten: late calls add to a period that is over, but none is eight periods late.
BUDGET_PERIODS_KEPT = 8
# An older sum is deleted from the store: a budget per month is read until the month is over.
BUDGET_SUMS_KEPT_SECONDS = 62 * 86_400
# A rate with more digits is refused with an error: products and sums must fit in `DECIMAL_DIGITS`.
RATE_DIGITS = 24
# The usage of further model calls in the body of one model is not compared with its own: nobody's router calls so many.
INNER_CALLS_COMPARED = 100
# A larger price book is refused with an error: all list prices of all providers take less.
PRICE_BOOK_BYTES = 10_000_000
# A longer line of an invoice is an error: no provider writes one, and a line must fit in memory.
INVOICE_LINE_CHARACTERS = 1_000_000
# A number in an invoice with more digits before the point is an error: no real charge or count has that many.
INVOICE_DIGITS = 30
# With more digits, pricing a call fails and a report's sum is rounded: no real amount has that many.
DECIMAL_DIGITS = 120

# rag: how much of documents and prompts is compared

# The oldest documents of a trace, and the last of one result, are not searched for in later prompts (logged once):
# each search takes time at every model call.
TRACE_DOCUMENTS = 300
TRACE_DOCUMENT_CHARACTERS = 1_000_000  # the same, for the memory that their texts take
# Of more documents, a prompt is compared only with those found since the last prompt, and those that have words in a
# row in common with it; the others are not in it. So a long trace costs no more at its end.
TRACE_DOCUMENTS_COMPARED = 20
DOCUMENT_BYTES_INDEXED = 1_000  # of its head and tail; one of which a prompt has only the middle is not found
DOCUMENTS_PER_INDEX_PART = 100  # documents are forgotten by so many at a time; for time and memory
# Only the head and tail of a long prompt are searched, and the attribute says estimated. Keeps a search within 5 ms.
PROMPT_BYTES_SEARCHED = 1_000_000  # for unchanged texts
PROMPT_BYTES_SEARCHED_FOR_ALL = 5_000_000  # over all documents; then the next bound holds for the rest
PROMPT_BYTES_COMPARED = 40_000  # word by word
# Only the head and tail of a long answer are searched for citations; lists of references stand there.
ANSWER_CHARACTERS_SEARCHED = 20_000
ANSWER_REFERENCES_READ = 1_000  # later references cite nothing; no reader follows so many
# A document with a longer name or path can be cited by its number only; no file system has longer paths.
DOCUMENT_NAME_CHARACTERS = 4_096
# `rag.documents` lists no more; `rag.results_count` has the number of all. Keeps the attribute readable.
RECORDED_DOCUMENTS = 100
RECORDED_FIELD_CHARACTERS = 256  # an id, source, page or chunk is cut off there; more is text, not a name
# Documents after that many characters are listed without id and source; cleaning these takes time.
RECORDED_DOCUMENTS_CHARACTERS = 24_000
ADDRESS_CHARACTERS = 4_096  # a URL whose host ends later is left out: it may be all credentials
# What a prompt's parts weigh is an estimate, and the attributes say so. These keep one estimate within 5 ms.
ESTIMATED_CHARACTERS = 2_048  # of a longer text, samples with so many characters stand for the whole
PROMPT_PARTS = 2_000  # later parts of a prompt get no tokens
NEW_PROMPT_PARTS = 400  # later ones are weighed at the agent's next model call
PROMPT_VALUES_READ = 400  # values in new parts; later ones get a rough weight
DEFINITION_VALUES_READ = 600  # values in tool definitions; later ones get a rough weight
VALUE_ITEMS_READ = 200  # of one value; these stand for the others
VALUE_DEPTH_READ = 12  # deeper values get no tokens
TOOLS_WEIGHED = 200  # later tools of one model call get no tokens; providers accept 128
# The prompt of an agent that was sent least recently is read again if it goes on; for the memory of its messages.
PROMPTS_CONTINUED = 8
CACHED_PROMPTS = 4  # of one step in a conversation; with older ones no prompt is compared
CACHED_PROMPT_HASHES = 500_000  # then the conversation that rested longest begins anew; for the memory
MESSAGE_WEIGHTS = 4_096  # all weights of an agent are forgotten and estimated again, for its memory
TOOL_DEFINITION_WEIGHTS = 1_000  # the same, for the process
# Further tools of an agent are added up in one row, `__other__`; no agent chooses among so many.
TOOL_ROWS = 256
TOOL_ROWS_RECORDED = 10  # the span lists the most expensive tools, the others in the row `__other__`
# An agent's results count as sent for the first time again (logged once); for its memory.
TOOL_RESULTS = 10_000

# profiles: what is added for a back end

# Later documents of a span are not written out one by one; each takes up to four attributes.
PROFILE_DOCUMENTS = 100
# A handler's profiles add no more to a span than fits beside its own attributes, the most important first: the SDK
# would drop the oldest, which say what the span is. A destination's profiles add to a copy, which has no limit.
SPAN_ATTRIBUTES = 128

# recording: what a span and the metrics carry

# Further variables of a prompt are left out, and `otel_callbacks.content.cut` says so; each is an attribute of its own.
PROMPT_VARIABLES = 32
# Later gaps between the chunks of one stream are not in the metric (logged once); a stream may never end.
CHUNK_GAPS = 100_000
# The oldest ended operations go into the metrics at once, not at the next collection; nobody may collect.
OPERATIONS_WAITING = 4_096
# Further values of a label become `__other__`; each value is a time series that costs money.
LABEL_VALUES = 100
# Further combinations of attributes are counted under `otel.metric.overflow`; the SDK's own limit per metric.
METRIC_SERIES = 2_000
# Further values of a span become `<not hashed>`; keeps hashing within 5 ms.
HASHED_BYTES_PER_SPAN = 2_000_000
# The hash of a longer text is that of its beginning, and the length of the whole text is beside it.
HASHED_CHARACTERS = 250_000
HASHED_JSON_CHARACTERS = 32_768  # the same, for values other than texts, which take longer to write as JSON
HASHED_JSON_STEPS = 500  # the same, for values of many small items
# With no cap on content, an attribute of more items is cut and named in `otel_callbacks.content.cut`.
CONTENT_STEPS_UNCAPPED = 4_000

# langchain, llama_index, manual: what handlers read and keep

# Further documents are counted but not recorded, and logged once; reading one takes a few microseconds.
DOCUMENTS_READ = 1_000
# Further blocks of a message are not recorded, and logged once; a whole conversation is read in one callback.
MESSAGE_BLOCKS_READ = 250
# Further tool calls of a message are not recorded, and logged once; the reason is the same.
MESSAGE_TOOL_CALLS_READ = 100
# Further chunks of a stream are not kept, and logged once; LangChain keeps them all, so this takes little memory.
STREAMED_CHUNKS = 100_000
# Further answers to one prompt are not read, and logged once; OpenAI returns at most 128.
ANSWERS_READ = 128
# A tool result with more content blocks gets no result size; counting must not delay the tool's end.
TOOL_RESULT_BLOCKS_COUNTED = 1_000
# Messages after so many values of a tool's command do not count for its result, and logged once: a command may carry a
# whole state, and searching it must not delay the tool's end.
COMMAND_VALUES_SEARCHED = 1_000
# The oldest template of a span is forgotten, and its model call has no `gen_ai.prompt.name`; most are used at once.
PROMPT_TEMPLATES_KEPT = 64
# A LlamaIndex prompt template is found in the nearest frames only: `predict` calls the model itself.
PREDICT_FRAMES_SEARCHED = 24
# A conversation id in `configurable` is found in the nearest frames only; LangChain has at most five between the call
# and its callback, and every start of a run looks.
CONFIG_FRAMES_SEARCHED = 8
# Further parts of a LangGraph path are left off, and logged once; a nested graph adds two.
GRAPH_PATH_PARTS = 100
# A custom event with a longer name is recorded under a fixed name; a name that long is content.
EVENT_NAME_CHARACTERS = 64
# The handler unpickled least recently is made again, as a second object for the same recorder; a process has few.
UNPICKLED_HANDLERS = 16
# Facts about the class used least recently are worked out again; applications define classes at run time.
COMPONENT_CLASSES_CACHED = 256
COMPONENT_METHODS_CACHED = 4_096  # the same for facts about one method of a class
# The handler list seen first is forgotten, and a component that copied it counts as traced; Settings rarely change.
SETTINGS_HANDLER_LISTS_REMEMBERED = 64

# export: how much waits for a back end

# Further spans are dropped and counted in `Telemetry.stats()`, events with a warning; the SDK's default.
QUEUE_ITEMS = 2_048
# A full batch is sent at once and the rest waits for the next; the SDK's default.
BATCH_ITEMS = 512
# A trace with more ended spans is decided before its end (logged once, counted in `Telemetry.stats()`): when it is
# kept, all of them go into the queue at once.
KEEP_TRACE_SPANS = QUEUE_ITEMS // 2
# If more spans are held altogether, the trace that is held longest is decided before its end, as above; for memory.
KEEP_SPANS = 20_000
# A trace that is held longer is decided before its end, as above: somebody waits for its spans.
KEEP_SECONDS = 600.0
# A span that ends after its trace, and after that many other traces were kept, is decided by itself; for memory.
KEEP_DECISIONS = 10_000
# A larger batch is split into several requests; collectors refuse more than 4 MiB by gRPC, and sizes are estimates.
REQUEST_BYTES = 2 * 1024 * 1024
ANSWER_BYTES = 65_536  # the rest of an answer is not read: it says at most how much was rejected, and why
# What a destination has not taken for so long is lost, which makes room for what is newer; a restart takes less.
RETRY_SECONDS = 300.0
# A destination that asks to wait longer is asked again after this time: it may be broken, and the queue fills.
RETRY_AFTER_SECONDS = 60.0
# Losses that go on, and pauses of a destination, are logged again after so long; each batch would fill the log.
LOSS_LOG_SECONDS = 60.0
# Further collections are dropped with a warning; each holds all metrics, and later ones hold the same totals.
METRIC_EXPORTS_WAITING = 8

# explore: how much is read, kept and drawn

# The oldest trace is forgotten, which the log says once: a notebook may run for days.
RECENT_TRACES = 100
RECENT_TRACES_BYTES = 32_000_000
# What waits for our own trace file longer than so many seconds is not seen by who reads it: a disk may hang.
OWN_FILE_SECONDS = 2.0
# The file is rotated: old traces can then be deleted without the new ones.
TRACE_FILE_BYTES = 64_000_000
TRACE_FILE_DAYS = 30
# The oldest rotated file is deleted, as `JsonLinesSpanExporter` says: traces must not fill the disk.
TRACE_FILES = 5
# A longer line of a trace file is skipped and counted, and the log says so: parsing it takes several times its size.
# A line that we write holds one batch, which is at most `REQUEST_BYTES`, or one bigger span.
TRACE_LINE_BYTES = 16_000_000
# The rest of a compressed file is not read, and the log says so: a few kilobytes can hold any amount of text.
COMPRESSED_TEXT_BYTES = 2_000_000_000
# A span with a value that is nested deeper is skipped and counted: Python's stack is finite.
TRACE_VALUE_DEPTH = 64
# The other spans are indexed, and those of other traces reported, in the next batch: all may not fit in memory.
INDEX_BATCH_SPANS = 10_000
COUNTED_BATCH_TRACES = 500
# The resource used longest ago is parsed again when needed: nearly all spans of a process share one.
RESOURCES_CACHED = 100
# The next span goes into the next request: gRPC servers reject messages of more than 4 MiB by default.
REPLAY_REQUEST_BYTES = 3_000_000
# The replay stops with an error and can be resumed: retries cover a restart of the endpoint, not an outage.
REPLAY_ATTEMPTS = 5
# An endpoint that asks to wait longer is tried again after this time: it may be broken, and somebody is waiting.
REPLAY_WAIT_SECONDS = 30.0
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
# The header of a picture has the latest judgements; each is with its row, and all are below the picture.
PICTURE_EVALUATIONS = 3
# The tooltip of a bar ends in "…", and has the last of the recorded texts: an error message may be a whole page.
TOOLTIP_CHARACTERS = 400
TOOLTIP_TEXTS = 5
# A name or title ends in "…": an application may use a prompt as a name.
LINE_CHARACTERS = 200
# "… 3 more documents" (retrievals, model calls, errors) follows: a notebook file stores all it shows.
HTML_DOCUMENTS = 20
HTML_SPANS = 12
# The other texts of documents are on the page of a trace, where they fold; a notebook would show nothing else.
HTML_DOCUMENT_TEXTS = 4
# "38 messages before" stands for the earlier messages of a prompt: the last ones are the new ones.
HTML_MESSAGES = 12
# "… about 1,200 more characters" follows: a notebook file stores all it shows; a page is for reading.
EXCERPT_CHARACTERS = 600
TERMINAL_EXCERPT_CHARACTERS = 2_000
PAGE_EXCERPT_CHARACTERS = 20_000
# "… 12 more steps" and "and 4 more" follow: `Diff.steps` has all of them.
DIFF_STEPS = 60
DIFF_DOCUMENTS = 3
CELL_TRACES = 3  # "2 earlier traces not shown" follows: `traces` has all of them
# `…_left_out` counts the others in JSON, and `--limit` shows them: an assistant that reads it has little room.
ANSWER_ROWS = 100
ANSWER_PIECES = 20  # texts or documents of a span; `view --whole` shows the other texts
MCP_ANSWER_CHARACTERS = 30_000  # `next_cursor` leads to the rest: clients cut more than 10,000 tokens
# "3 more workflows" follows; the rest of the others is left out: an answer should be read.
WHY_WORKFLOWS = 5
WHY_ROWS = 8  # of one kind, such as steps
WHY_EXAMPLES = 3  # ids of traces with each finding
# "page 2 of 40" follows, in a list of the local page: it must be made within a moment, and read.
UI_TRACES = 50
# The rows of a trace there are folded, or come in pages; further costs are counted, further suggestions left out.
UI_ROWS = 200
# "… 12 more" follows there, in what stands beside the rows of a trace; each span has its own.
UI_ITEMS = 40
# Further connections to it get status 503: it has few readers, and must not take an application's memory.
UI_CONNECTIONS = 64

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

# doctor: how long it tries

# A sampler that keeps none of so many is said to drop everything; trying takes a second at most.
SAMPLER_TRIES = 10_000
# More of what an unknown server answers is not read: its first bytes tell what it speaks.
PROBE_ANSWER_BYTES = 64
