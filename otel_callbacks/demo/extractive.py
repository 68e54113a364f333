"""The local model. It is *extractive*: it copies sentences from what it is given and generates nothing.

It exists so that the demo needs no account and no download, while everything around it is real: prompts are
read, tokens are counted, tools are chosen by the words they share with the question, embeddings compare by
the words of a text. It knows nothing and must not be mistaken for a language model. Everything here is a pure
function of its arguments and gives the same result in every process.

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

_MOST_SENTENCES = 3
_GOOD_ENOUGH = 0.6
"""A further sentence is quoted if it scores at least this part of the best one."""

_LEAD = 20
"""After this many words a word counts half: texts say first what they are about."""

_LABELLED = re.compile(
    r".*^[ \t]*(?:Question|Query)[ \t]*:\s*(.+?)\s*(?:^Answer[ \t]*:.*)?\Z", re.DOTALL | re.MULTILINE
)
_FOLLOW_UP = re.compile(
    r"(.*)^[ \t]*Follow[- ]Up Input:\s*(.+?)\s*^[ \t]*Standalone question:\s*\Z", re.DOTALL | re.MULTILINE
)
_ASKED = re.compile(r"^\s*(?:human|user):\s*(.+?\?)\s*$", re.IGNORECASE | re.MULTILINE)
_WHOLE = re.compile(r"[\"'`*(]*[A-Z].*[.!?][\"'`)]*\Z")
_PARAGRAPH_END = re.compile(r"\n\s*\n|\n[ \t]*[-=*_~]{3,}[ \t]*\n")
_TITLE = re.compile(r"[^-*•>\s][^\n]*(?<![.!?:])\Z")
_PASSAGE = re.compile(r"^\[(\w+)\][ \t]*", re.MULTILINE)


def embed(features: str | Iterable[int], dimensions: int = DIMENSIONS) -> list[float]:
    """Embed a text as the signed feature hashes of its word stems, or of its token ids.

    Args:
        features: The text, or token ids of any vocabulary. The two do not compare with each other.
        dimensions: Length of the vector.

    Returns:
        A vector of length 1, or of zeros if the text has no meaningful word.
    """
    words = stems(features) if isinstance(features, str) else [f"#{token}" for token in features]
    weights: defaultdict[str, float] = defaultdict(float)
    for position, word in enumerate(words):
        weights[word] += _LEAD / (_LEAD + position)
    vector = [0.0] * dimensions
    for word, weight in weights.items():
        hashed = zlib.crc32(word.encode())
        vector[hashed % dimensions] += math.copysign(math.log1p(weight), (hashed >> 31) - 0.5)
    norm = math.hypot(*vector) or 1.0
    return [value / norm for value in vector]


def render(messages: Sequence[Message], tools: Sequence[Tool] = ()) -> str:
    """Write the prompt as the model reads it, tools first; usage counts the tokens of this text."""
    lines = [json.dumps(tool, sort_keys=True) for tool in tools]
    for message in messages:
        lines.append(f"{message['role']}: {text_of(message)}")
        lines += [json.dumps(call["function"], sort_keys=True) for call in message.get("tool_calls") or ()]
    return "\n".join(lines)


def text_of(message: Message) -> str:
    """Return the text of a message, whose content may be a string, a list of parts or nothing."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content)


def respond(
    messages: Sequence[Message], tools: Sequence[Tool] = (), tool_choice: Choice = "auto"
) -> str | ToolCall:
    """Continue a conversation: with a tool call if one is wanted, else with an answer from the context.

    Args:
        messages: The conversation; its last user message asks the question.
        tools: The tools on offer.
        tool_choice: "auto", "none", "required", or the function that must be called.
    """
    if follow_up := _FOLLOW_UP.match(text_of(messages[-1])):
        return _standalone(*follow_up.groups())
    functions = [tool["function"] for tool in tools]
    turn = _read(messages, {function["name"] for function in functions})
    if not isinstance(tool_choice, str):
        named = tool_choice["function"]["name"]
        return call_of(next(function for function in functions if function["name"] == named), turn.question)
    if functions and tool_choice != "none":
        lookup = not turn.past and not turn.given and len(stems(turn.question)) > 1
        eager = tool_choice == "required" or lookup
        call = next_call(turn.question, functions, turn.past, eager=eager)
        if call or tool_choice == "required":
            return call or call_of(functions[0], turn.question)
    if any(not done.failed for done in turn.past):
        return _report(turn)
    return answer(turn.question, [*turn.instructions, *turn.given])


def _standalone(history: str, question: str) -> str:
    """Make a question understandable by itself: by the one before it, which LangChain and LlamaIndex quote."""
    return " ".join([*_ASKED.findall(history)[-1:], question])


def _report(turn: "_Turn") -> str:
    """Answer from the results of tools: the sentence of each that fits best what that tool was asked."""
    results = [done for done in turn.past if not done.failed]
    quotes = [_excerpt(done, turn.question, _MOST_SENTENCES if len(results) == 1 else 1) for done in results]
    return " ".join(filter(None, quotes)) or UNANSWERED


def _excerpt(done: PastCall, question: str, most: int) -> str:
    if len(sentences(done.result)) <= _MOST_SENTENCES and not _PASSAGE.search(done.result):
        return done.result.strip()  # another agent, or a calculation, has answered already
    asked = " ".join(value for value in done.call.arguments.values() if isinstance(value, str))
    words = set(stems(asked)) - set(stems(done.call.name))
    return _extract(words or set(stems(question)), [done.result], most)


@dataclass(frozen=True)
class _Turn:
    """A conversation taken apart: the question, what was given with it, what tools have answered since."""

    question: str
    instructions: list[str]
    given: list[str]
    past: list[PastCall]


def _read(messages: Sequence[Message], offered: Collection[str] = ()) -> _Turn:
    users = [index for index, message in enumerate(messages) if message["role"] == "user"]
    last = users[-1] if users else len(messages) - 1
    context, question = _split(text_of(messages[last]))
    earlier = [message for message in messages[:last] if message["role"] in ("user", "tool")]
    given = [text for text in [*map(text_of, earlier), context] if text.strip()]
    instructions = [text_of(message) for message in messages if message["role"] in ("system", "developer")]
    past = _past_calls(messages[last + 1 :])
    # What is no longer on offer was called by another agent, before it handed over.
    mine = [done for done in past if not offered or done.call.name in offered]
    return _Turn(question, instructions, given, mine)


def _split(text: str) -> tuple[str, str]:
    """Split what a user wrote into the context and the question."""
    labelled = _LABELLED.match(text)
    if labelled:
        return text[: labelled.start(1)].rpartition("\n")[0], labelled[1]
    lines = [line for line in text.strip().splitlines() if line.strip()] or [""]
    asking = [line for line in lines if line.rstrip().endswith("?")]
    question = (asking or lines)[-1]
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
    """A sentence of the context: its word stems, those of its title, its place below that, its source."""

    text: str
    words: frozenset[str]
    title: frozenset[str]
    position: int
    citation: str

    def score(self, rarity: Mapping[str, float]) -> float:
        """Sum the rarities of the question's words in it, less for its title's, less if long or late."""
        whole = 1 if _WHOLE.match(self.text) else 0.5  # lists and examples are worse answers
        own = sum(weight for word, weight in rarity.items() if word in self.words)
        above = sum(weight for word, weight in rarity.items() if word in self.title - self.words)
        return whole * (own + 0.7 * above) / math.sqrt(20 + len(self.words) + self.position)

    def quoted(self) -> str:
        """Return the sentence, with the id of its passage before the full stop."""
        if not self.citation:
            return self.text
        return f"{self.text.removesuffix('.')} [{self.citation}]."


def answer(question: str, sources: Sequence[str]) -> str:
    """Answer with one to three sentences of the sources, citing the passages that are numbered like [3].

    If any passage is numbered, only numbered ones are quoted. Says so if the sources hold no answer.
    """
    return _extract(set(stems(question)), sources, _MOST_SENTENCES) or UNANSWERED


def _extract(asked: set[str], sources: Sequence[str], most: int) -> str:
    candidates = _candidates(sources)
    spread = Counter(word for sentence in candidates for word in asked & (sentence.words | sentence.title))
    rarity = {word: math.log1p(len(candidates) / spread[word]) for word in sorted(asked) if spread[word]}
    enough = min(2, len(asked))
    related = [each for each in candidates if asked and len(asked & (each.words | each.title)) >= enough]
    ranked = sorted(related, key=lambda each: each.score(rarity), reverse=True)[:most]
    best = [each for each in ranked if each.score(rarity) >= _GOOD_ENOUGH * ranked[0].score(rarity)]
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
    """Split a text at its titles, which are lines that stand alone and are no sentences."""
    sections: list[tuple[str, list[str]]] = [("", [])]
    for paragraph in _PARAGRAPH_END.split(text.strip()):
        if _TITLE.match(paragraph):
            sections.append((paragraph, []))
        else:
            sections[-1][1].append(paragraph)
    return [(title, "\n\n".join(body) or title) for title, body in sections]
