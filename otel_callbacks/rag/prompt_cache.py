"""Why a provider's prompt cache missed: compares a prompt with those that were sent before in its conversation.

Of a prompt that was sent there are kept, in order, the hashes of its messages and what they weigh, and a hash of the
definitions of its tools. Python's hashes of texts have a random key per process, they never leave the process, and no
text is kept. Only calls whose usage says how much was read from the cache are compared and kept.
"""

import time
from array import array
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter, eq
from typing import Any

from otel_callbacks import limits, operations, semconv
from otel_callbacks.operations import providers
from otel_callbacks.operations.providers.prompt_caches import EXTENDED_SECONDS
from otel_callbacks.rag.prompt_weights import PromptWeights
from otel_callbacks.rag.trace_documents import Attributes
from otel_callbacks.rag.weighed_prompt import MessageForm, WeighedMessage, WeighedPrompt
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime.fork import safe_lock

_ENOUGH = 0.75  # of what could be read; a cache works in blocks of tokens, and weights are estimates
_KEYS, _PARTS = attrgetter("key"), attrgetter("parts")  # of a `WeighedMessage`
_WEIGHTS = partial(map, attrgetter("weight"))  # of parts; these run in C, because conversations are long


@dataclass(frozen=True, slots=True)
class SentPrompt:
    """What a model is sent, in the framework's form; it is let go when the call has ended.

    Attributes:
        chat: the messages.
        tools: the definitions of tools.
        form: how messages are read.
        weights: those of the agent, else new ones.
        weighed: the same prompt, weighed; None outside an agent.
    """

    chat: Sequence[Any]
    tools: Any
    form: MessageForm
    weights: PromptWeights
    weighed: WeighedPrompt | None = None


@dataclass(frozen=True, slots=True)
class _Sent:
    """A prompt that was sent, without its text.

    Attributes:
        model: provider and model that was asked for.
        response_model: the model that answered, if that is known.
        keys: the hashes of the messages.
        weights: what the messages weigh.
        tools: a hash of the definitions of tools; None without any.
        defined: what the definitions weigh.
        ended: when the answer had arrived, in nanoseconds since 1970.
        extended: whether the provider was asked to keep what was sent for an hour.
        unseen: how many calls had not been seen by then.
    """

    model: tuple[str | None, str | None]
    response_model: str | None
    keys: Sequence[int]
    weights: Sequence[float]
    tools: Hashable
    defined: float
    ended: int
    extended: bool
    unseen: int

    def is_same_model(self, other: "_Sent") -> bool:
        """Tells whether both were sent to the same model."""
        known = self.response_model is not None and other.response_model is not None
        return self.model == other.model and (not known or self.response_model == other.response_model)

    def shared_with(self, other: "_Sent") -> int:
        """Returns how many messages both have at the beginning."""
        same = bytes(map(eq, self.keys, other.keys))
        differs = same.find(False)
        return len(same) if differs < 0 else differs

    def has_other_start(self, other: "_Sent") -> bool:
        """Tells whether it goes on with the other, but for its first message: mostly a system prompt with the time.

        Hashes cannot say how much of that message is the same, so none of it counts as reusable.
        """
        rest = other.keys[1:]
        return bool(rest) and self.keys[0] != other.keys[0] and self.keys[1 : len(other.keys)] == rest


class PromptCaches:
    """The prompts that were sent, by conversation and step.

    Attributes:
        unseen: how many model calls were not looked at, because the sampler dropped them. One may have gone on with a
            conversation, so nothing from before it is compared with.
    """

    def __init__(self) -> None:
        self.unseen = 0
        self._sent: OrderedDict[Hashable, list[_Sent]] = OrderedDict()
        self._hashes = 0
        self._lock = safe_lock()

    def attributes(self, run: Run, sent: SentPrompt, agent: Run | None) -> Attributes:
        """Returns what could have come from the provider's cache, and why it did not; {} if that is not known.

        Args:
            run: the run of a model call that ends, whose usage says what was read from the cache.
            sent: what the model was sent.
            agent: the run of the agent around the call.
        """
        operation = run.operation
        usage: operations.Usage | None = operation.usage
        conversation = _conversation(run, agent)
        if usage is None or not usage.input_tokens or usage.contradictory or usage.estimated:
            return {}
        if conversation is None or operation.cached or operation.duplicate:
            return {}
        with self._lock:
            earlier = [each for each in self._sent.get(conversation, ()) if each.unseen == self.unseen]
        now = self._read(operation, usage, sent, earlier)
        if now is None:  # more messages than are read
            return {}
        # Of a call in parallel nothing is cached yet.
        complete = [each for each in earlier if each.ended <= run.started]
        before = complete[0] if complete else None
        if len(complete) > 1:
            before = max(
                complete, key=lambda each: (each.is_same_model(now), each.shared_with(now), each.ended)
            )
        self._keep(conversation, now, before)
        if before is None:
            return {}
        return _compared(now, before, usage, (run.started - before.ended) / 1e9, operation, sent)

    def _read(
        self,
        operation: operations.Inference,
        usage: operations.Usage,
        sent: SentPrompt,
        earlier: Sequence[_Sent],
    ) -> _Sent | None:
        weighed = sent.weighed
        if weighed is None:
            keys, weights, defined = _weigh(sent, earlier)
        else:
            keys, weights = list(map(_KEYS, weighed.weighed)), list(_sums(weighed.weighed))
            defined = sum(_WEIGHTS(weighed.definitions))
        if len(keys) != len(sent.chat):
            return None
        asked = bool(usage.cache_write_1h_input_tokens)
        goes_on = bool(usage.cache_read_input_tokens) and any(each.extended for each in earlier[-1:])
        return _Sent(
            model=(operation.provider, operation.name),
            response_model=operation.response_model,
            keys=array("q", map(hash, keys)),
            weights=array("d", weights),
            tools=sent.weights.tools_key(sent.tools),
            defined=defined,
            ended=time.time_ns(),
            extended=asked or goes_on,
            unseen=self.unseen,
        )

    def _keep(self, conversation: Hashable, now: _Sent, before: _Sent | None) -> None:
        """Keeps a prompt in place of the one that it goes on with; forgets the conversations used longest ago."""
        goes_on = (
            before is not None and before.is_same_model(now) and before.shared_with(now) == len(before.keys)
        )
        with self._lock:
            kept = self._sent.pop(conversation, [])
            others = [each for each in kept if each is not before or not goes_on][
                -limits.CACHED_PROMPTS + 1 :
            ]
            self._sent[conversation] = [*others, now]
            self._hashes += _count([*others, now]) - _count(kept)
            while self._hashes > limits.CACHED_PROMPT_HASHES and len(self._sent) > 1:
                _, forgotten = self._sent.popitem(last=False)
                self._hashes -= _count(forgotten)


def is_in_conversation(run: Run) -> bool:
    """Tells whether it is known to which conversation or session a model call belongs."""
    return run.operation.conversation_id is not None or semconv.SESSION_ID in run.labels


def _conversation(run: Run, agent: Run | None) -> Hashable:
    """Returns what prompts of one kind share: conversation (or else agent) and step; None outside both."""
    identity = run.operation.conversation_id or run.labels.get(semconv.SESSION_ID)
    if identity is None and agent is None:
        return None
    step = run.parent.operation.name if run.parent is not None else None
    name = agent.operation.name if agent is not None else None
    return identity or (agent.key if agent else None), run.labels.get(semconv.APP_TENANT_ID), name, step


def _weigh(sent: SentPrompt, earlier: Sequence[_Sent]) -> tuple[Sequence[Hashable], Sequence[float], float]:
    """Returns the keys and weights of messages, and the weight of definitions; reads only messages that are new."""
    keys = list(map(sent.form.key, sent.chat[: limits.PROMPT_PARTS + 1]))
    known: dict[Hashable, float] = {}
    for each in earlier:
        known.update(zip(each.keys, each.weights, strict=True))
    new = [message for message, key in zip(sent.chat, keys, strict=False) if hash(key) not in known]
    weighed = sent.weights.weigh(new, sent.tools, sent.form)
    known.update(zip(map(hash, map(_KEYS, weighed.weighed)), _sums(weighed.weighed), strict=True))
    weights = [known[hash(key)] for key in keys if hash(key) in known]
    return keys[: len(weights)], weights, sum(_WEIGHTS(weighed.definitions))


def _sums(weighed: Iterable[WeighedMessage]) -> Iterable[float]:
    return map(sum, map(_WEIGHTS, map(_PARTS, weighed)))


def _count(sent: Iterable[_Sent]) -> int:
    return sum(len(each.keys) for each in sent)


def _compared(
    now: _Sent,
    before: _Sent,
    usage: operations.Usage,
    idle: float,
    operation: operations.Inference,
    sent: SentPrompt,
) -> Attributes:
    """Returns the attributes of a call, from its prompt and the one before."""
    input_tokens, read = usage.input_tokens or 0, usage.cache_read_input_tokens or 0
    whole = now.defined + sum(now.weights)
    if not whole:
        return {}
    same_tools, shared = now.tools == before.tools, now.shared_with(before)
    again = sum(now.weights[:shared]) + _moved(now, before, shared)
    defined = now.defined if same_tools else 0.0
    reusable = round(input_tokens * (again + defined) / whole)
    prefix = round(input_tokens * (defined + sum(now.weights[:shared])) / whole) if same_tools else 0
    found: Attributes = {semconv.CACHE_REUSABLE_TOKENS: reusable, semconv.CACHE_IDLE_SECONDS: max(0.0, idle)}
    is_restarted = shared == 0 and now.has_other_start(before)
    if read >= _ENOUGH * (input_tokens if is_restarted else reusable):
        return found
    found[semconv.CACHE_MISSED_TOKENS] = max(0, reusable - read)
    if not same_tools:
        found[semconv.CACHE_FIRST_CHANGED] = "tools"
    elif shared < min(len(before.keys), len(now.keys)):
        found[semconv.CACHE_FIRST_CHANGED] = sent.form.read(sent.chat[shared]).role
        found[semconv.CACHE_FIRST_CHANGED_MESSAGE] = shared
    rule = providers.prompt_cache(operation.provider, operation.response_model or operation.name or "")
    found[semconv.CACHE_MISS_REASON] = (
        semconv.CACHE_UNKNOWN
        if rule is None
        else _reason(now, before, rule, idle, input_tokens, reusable, 0 if is_restarted else prefix)
    )
    return found


def _moved(now: _Sent, before: _Sent, shared: int) -> float:
    """Returns the weight of the messages after the shared ones that were somewhere in the prompt before, each once."""
    gone = before.keys[shared:]
    if not gone:  # nearly always: a conversation goes on
        return 0.0
    left, found = Counter(gone), 0.0
    for key, weight in zip(now.keys[shared:], now.weights[shared:], strict=True):
        if left[key] > 0:
            left[key] -= 1
            found += weight
    return found


def _reason(
    now: _Sent,
    before: _Sent,
    rule: providers.PromptCache,
    idle: float,
    input_tokens: int,
    reusable: int,
    prefix: int,
) -> str:
    """Returns why the cache of a known provider missed; what is certain comes first."""
    minimum = rule.minimum_tokens or 0
    lifetime = rule.lifetime_seconds
    if lifetime is not None and before.extended:
        lifetime = max(lifetime, EXTENDED_SECONDS)
    if input_tokens < minimum:
        return semconv.CACHE_BELOW_MINIMUM
    if not now.is_same_model(before):
        return semconv.CACHE_MODEL_CHANGED
    if now.tools != before.tools:
        return semconv.CACHE_TOOLS_CHANGED
    if not prefix or prefix < _ENOUGH * reusable:
        return semconv.CACHE_PREFIX_CHANGED
    if lifetime is not None and idle > lifetime:
        return semconv.CACHE_TOO_OLD
    return semconv.CACHE_BELOW_MINIMUM if prefix < minimum else semconv.CACHE_UNKNOWN
