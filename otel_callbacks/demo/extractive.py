"""The local model. It is *extractive*: it copies sentences from the prompt and generates nothing.

With it the demo needs no account and no download, and everything around it is real: it reads the prompt, counts
tokens, calls the tools that share words with the question, and embeds texts by their words. It knows nothing and is
not a language model. Every function here is pure and gives the same result in every process.

Messages and tools have the shape of the OpenAI protocol.
"""

import json
import math
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otel_callbacks.demo.tool_use import PastCall, ToolCall, call_of, next_call
from otel_callbacks.demo.words import sentences, stems

CHAT_MODEL = "extractive-1"
EMBEDDING_MODEL = "hashed-tfidf-256"
DIMENSIONS = 256
UNANSWERED = "The context does not contain the answer."

Message = Mapping[str, Any]
Tool = Mapping[str, Any]
Choice = str | Mapping[str, Any]

_SENTENCES_QUOTED = 3
_MINIMAL_SCORE = 0.6
"""A further sentence is quoted if its score is at least this part of the best one."""

_HALF_WEIGHT_POSITION = 20
"""A word at this position in a text counts half: texts first say what they are about."""

_LABELLED = re.compile(
    r".*^[ \t]*(?:Question|Query)[ \t]*:\s*(.+?)\s*(?:^Answer[ \t]*:.*)?\Z", re.DOTALL | re.MULTILINE
)
_FOLLOW_UP = re.compile(
    r"(.*)^[ \t]*Follow[- ]Up Input:\s*(.+?)\s*^[ \t]*Standalone question:\s*\Z", re.DOTALL | re.MULTILINE
)
_EARLIER_QUESTION = re.compile(r"^\s*(?:human|user):\s*(.+?\?)\s*$", re.IGNORECASE | re.MULTILINE)
_FULL_SENTENCE = re.compile(r"[\"'`*(]*[A-Z].*[.!?][\"'`)]*\Z")
_PARAGRAPH_END = re.compile(r"\n\s*\n|\n[ \t]*[-=*_~]{3,}[ \t]*\n")
_TITLE = re.compile(r"[^-*•>\s][^\n]*(?<![.!?:])\Z")
_PASSAGE = re.compile(r"^\[(\w+)\][ \t]*", re.MULTILINE)


def embed(features: str | Iterable[int], dimensions: int = DIMENSIONS) -> list[float]:
    """Embeds a text as the signed feature hashes of its word stems, or of its token ids.

    Args:
        features: The text, or token ids of any vocabulary; vectors of texts and of ids do not compare.
        dimensions: How many numbers the vector has.

    Returns:
        A vector with the norm 1, or of zeros if the text has no meaningful word.
    """
    words = stems(features) if isinstance(features, str) else [f"#{token}" for token in features]
    weights: defaultdict[str, float] = defaultdict(float)
    for position, word in enumerate(words):
        weights[word] += _HALF_WEIGHT_POSITION / (_HALF_WEIGHT_POSITION + position)
    vector = [0.0] * dimensions
    for word, weight in weights.items():
        hashed = zlib.crc32(word.encode())
        vector[hashed % dimensions] += math.copysign(math.log1p(weight), (hashed >> 31) - 0.5)
    norm = math.hypot(*vector) or 1.0
    return [value / norm for value in vector]


def render(messages: Sequence[Message], tools: Sequence[Tool] = ()) -> str:
    """Writes the prompt as one text, tools first; usage counts its tokens."""
    lines = [json.dumps(tool, sort_keys=True) for tool in tools]
    for message in messages:
        lines.append(f"{message['role']}: {text_of(message)}")
        lines += [json.dumps(call["function"], sort_keys=True) for call in message.get("tool_calls") or ()]
    return "\n".join(lines)


def text_of(message: Message) -> str:
    """Returns the text of a message, whose content may be a string, a list of parts or None."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content)


def respond(
    messages: Sequence[Message], tools: Sequence[Tool] = (), tool_choice: Choice = "auto"
) -> str | ToolCall:
    """Continues a conversation: with a tool call if the question needs one, else with an answer.

    Args:
        messages: The conversation; its last user message asks the question.
        tools: The tools that may be called.
        tool_choice: "auto", "none", "required", or the function that must be called.
    """
    if follow_up := _FOLLOW_UP.match(text_of(messages[-1])):
        return _standalone_question(*follow_up.groups())
    functions = [tool["function"] for tool in tools]
    turn = _read(messages, {function["name"] for function in functions})
    if not isinstance(tool_choice, str):
        named = tool_choice["function"]["name"]
        return call_of(next(function for function in functions if function["name"] == named), turn.question)
    if functions and tool_choice != "none":
        nothing_known = not turn.past and not turn.context and len(stems(turn.question)) > 1
        eager = tool_choice == "required" or nothing_known
        call = next_call(turn.question, functions, turn.past, eager=eager)
        if call or tool_choice == "required":
            return call or call_of(functions[0], turn.question)
    if any(not done.failed for done in turn.past):
        return _answer_from_results(turn)
    return answer(turn.question, [*turn.instructions, *turn.context])


def _standalone_question(history: str, question: str) -> str:
    """Puts the previous question before a follow-up; LangChain and LlamaIndex quote it in the history."""
    return " ".join([*_EARLIER_QUESTION.findall(history)[-1:], question])


def _answer_from_results(turn: "_Turn") -> str:
    """Answers with the sentence of each tool result that best matches the arguments of its call."""
    results = [done for done in turn.past if not done.failed]
    limit = _SENTENCES_QUOTED if len(results) == 1 else 1
    quotes = [_excerpt(done, turn.question, limit) for done in results]
    return " ".join(filter(None, quotes)) or UNANSWERED


def _excerpt(done: PastCall, question: str, limit: int) -> str:
    if len(sentences(done.result)) <= _SENTENCES_QUOTED and not _PASSAGE.search(done.result):
        return done.result.strip()  # another agent, or a calculation, has answered already
    arguments = " ".join(value for value in done.call.arguments.values() if isinstance(value, str))
    words = set(stems(arguments)) - set(stems(done.call.name))
    return _extract(words or set(stems(question)), [done.result], limit)


@dataclass(frozen=True)
class _Turn:
    """The parts of a conversation: instructions, context, the question, and the tool calls made since."""

    question: str
    instructions: list[str]
    context: list[str]
    past: list[PastCall]


def _read(messages: Sequence[Message], tool_names: Collection[str] = ()) -> _Turn:
    users = [index for index, message in enumerate(messages) if message["role"] == "user"]
    last = users[-1] if users else len(messages) - 1
    context, question = _split(text_of(messages[last]))
    earlier = [message for message in messages[:last] if message["role"] in ("user", "tool")]
    contexts = [text for text in [*map(text_of, earlier), context] if text.strip()]
    instructions = [text_of(message) for message in messages if message["role"] in ("system", "developer")]
    past = _past_calls(messages[last + 1 :])
    # An agent that handed over called the tools that are no longer available.
    own = [done for done in past if not tool_names or done.call.name in tool_names]
    return _Turn(question, instructions, contexts, own)


def _split(text: str) -> tuple[str, str]:
    """Splits a user message into the context and the question."""
    labelled = _LABELLED.match(text)
    if labelled:
        return text[: labelled.start(1)].rpartition("\n")[0], labelled[1]
    lines = [line for line in text.strip().splitlines() if line.strip()] or [""]
    questions = [line for line in lines if line.rstrip().endswith("?")]
    question = (questions or lines)[-1]
    if len(lines) > 1:
        question = sentences(question)[-1] if sentences(question) else question
    return text.replace(question, "", 1), question.strip()


def _past_calls(messages: Sequence[Message]) -> list[PastCall]:
    results = {
        message.get("tool_call_id"): text_of(message) for message in messages if message["role"] == "tool"
    }
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    return [
        PastCall(
            ToolCall(call["function"]["name"], json.loads(call["function"]["arguments"])), results[call["id"]]
        )
        for call in calls
        if call["id"] in results
    ]


@dataclass(frozen=True)
class _Sentence:
    """A sentence of the context: its word stems, its title's stems, its position below the title, its passage id."""

    text: str
    words: frozenset[str]
    title: frozenset[str]
    position: int
    citation: str

    def score(self, rarity: Mapping[str, float]) -> float:
        """Sums the rarities of the question's words in it; less for words in its title, and if long or late."""
        form = 1 if _FULL_SENTENCE.match(self.text) else 0.5  # lists and examples are worse answers
        own = sum(weight for word, weight in rarity.items() if word in self.words)
        above = sum(weight for word, weight in rarity.items() if word in self.title - self.words)
        return form * (own + 0.7 * above) / math.sqrt(20 + len(self.words) + self.position)

    def quoted(self) -> str:
        """Returns the sentence, with the id of its passage before the full stop."""
        if not self.citation:
            return self.text
        return f"{self.text.removesuffix('.')} [{self.citation}]."


def answer(question: str, sources: Sequence[str]) -> str:
    """Answers with one to three sentences of the sources, citing passages that are numbered like [3].

    If any passage is numbered, only numbered ones are quoted. Returns `UNANSWERED` if no sentence matches.
    """
    return _extract(set(stems(question)), sources, _SENTENCES_QUOTED) or UNANSWERED


def _extract(wanted: set[str], sources: Sequence[str], limit: int) -> str:
    """Returns the sentences, at most `limit`, that share the most and the rarest words with `wanted`."""
    candidates = _candidates(sources)
    spread = Counter(word for sentence in candidates for word in wanted & (sentence.words | sentence.title))
    rarity = {word: math.log1p(len(candidates) / spread[word]) for word in sorted(wanted) if spread[word]}
    enough = min(2, len(wanted))
    related = [each for each in candidates if wanted and len(wanted & (each.words | each.title)) >= enough]
    ranked = sorted(related, key=lambda each: each.score(rarity), reverse=True)[:limit]
    best = [each for each in ranked if each.score(rarity) >= _MINIMAL_SCORE * ranked[0].score(rarity)]
    return " ".join(each.quoted() for each in sorted(best, key=candidates.index))


def _candidates(sources: Sequence[str]) -> list[_Sentence]:
    passages = [passage for source in sources for passage in _passages(source)]
    numbered = [passage for passage in passages if passage[0]]
    found: dict[str, _Sentence] = {}
    for citation, text in numbered or passages:
        for title, body in _sections(text):
            above = frozenset(stems(title))
            for position, sentence in enumerate(sentences(body)):
                words = frozenset(stems(sentence))
                found.setdefault(sentence, _Sentence(sentence, words, above, position, citation))
    return list(found.values())


def _passages(source: str) -> list[tuple[str, str]]:
    parts = _PASSAGE.split(source)
    return list(zip(parts[1::2], parts[2::2], strict=True)) or [("", source)]


def _sections(text: str) -> list[tuple[str, str]]:
    """Splits a text at its titles: lines that stand alone and are not sentences."""
    sections: list[tuple[str, list[str]]] = [("", [])]
    for paragraph in _PARAGRAPH_END.split(text.strip()):
        if _TITLE.match(paragraph):
            sections.append((paragraph, []))
        else:
            sections[-1][1].append(paragraph)
    return [(title, "\n\n".join(body) or title) for title, body in sections]
