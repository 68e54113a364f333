"""Prompts of which it is known what is in them: templates, what happened to the documents, texts.

Made of Python's own documentation and of documents in many scripts, always the same.
"""

import html
import json
import random
import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

from otel_callbacks.operations import Document

Texts = Sequence[str]
SCRIPTS: dict[str, list[str]] = json.loads(Path(__file__).with_name("prompt_texts.json").read_text("utf-8"))
PAGES = [topics[page] for page in sorted(topics) if len(topics[page]) > 4_000]
QUESTION = "You answer from the context alone.\n\n{}\n\nQuestion: what happens when the value is missing?"


@dataclass(frozen=True)
class Case:
    template: str
    change: str
    script: str
    documents: Sequence[Document]
    prompt: str
    truth: Sequence[bool]


def listed(texts: Texts, between: str = "\n\n", each: Callable[[str], str] = str) -> str:
    return between.join(map(each, texts))


def numbered(texts: Texts) -> str:
    return "\n".join(f"[{number}] (source: file{number}.md)\n{text}" for number, text in enumerate(texts, 1))


def line_numbers(text: str) -> str:
    return "\n".join(f"{number:4}  {line}" for number, line in enumerate(text.splitlines(), 1))


TEMPLATES: dict[str, Callable[[Texts], str]] = {
    "joined": listed,
    "numbered": numbered,
    "indented": lambda texts: listed(texts, "\n---\n", lambda text: textwrap.indent(text, "    ")),
    "wrapped": lambda texts: listed(texts, each=lambda text: textwrap.fill(text, 60)),
    "quoted": lambda texts: listed(texts, each=lambda text: textwrap.indent(text, "> ", lambda line: True)),
    "collapsed": lambda texts: listed(texts, " ", lambda text: re.sub(r"\s+", " ", text)),
    "JSON": lambda texts: json.dumps([{"id": number, "text": text} for number, text in enumerate(texts)]),
    "JSON in JSON": lambda texts: json.dumps({"tool": json.dumps({"hits": list(texts)}, ensure_ascii=False)}),
    "XML": lambda texts: listed(texts, each=lambda text: f"<document>{html.escape(text)}</document>"),
    "bullets": lambda texts: listed(texts, "\n", lambda text: "* " + text.replace("\n", "\n  ")),
    "line numbers": lambda texts: listed(texts, each=line_numbers),
    "decomposed": lambda texts: unicodedata.normalize("NFD", listed(texts)),
    "compatible": lambda texts: unicodedata.normalize("NFKC", listed(texts)),
}


def cut(text: str, change: str, draw: random.Random) -> str:
    """The text as a budget leaves it: from 15 to 95 per cent."""
    kept = max(20, int(len(text) * draw.uniform(0.15, 0.95)))
    if change == "head kept":
        return text[:kept]
    if change == "tail kept":
        return text[-kept:]
    head = draw.randrange(kept)
    return f"{text[:head]} ... {text[len(text) - (kept - head) :]}"


def near_duplicate(text: str, draw: random.Random) -> str:
    """The text with every tenth word, or character where there are no words, made another."""
    pieces = text.split(" ") if text.count(" ") > len(text) / 15 else list(text)
    between = " " if text.count(" ") > len(text) / 15 else ""
    for at in range(draw.randrange(1, 8), len(pieces), 10):
        pieces[at] = pieces[draw.randrange(len(pieces))] + pieces[at][::-1]
    return between.join(pieces)


def retrieved(script: str, change: str, draw: random.Random) -> tuple[list[str], list[bool]]:
    """Documents, and whether each is going to be in the prompt."""
    if script == "English":
        texts = chunks(draw, PAGES[::2], overlap=300 if change == "overlapping" else 0)
    else:
        texts = list(SCRIPTS[script])
        draw.shuffle(texts)
    truth = [at % 2 == 0 for at in range(len(texts))]
    if change == "boilerplate":
        texts = [f"{texts[0][:90]}\n{text}" for text in texts[1:]]
        truth = truth[1:]
    if change == "other documents":
        truth = [False] * len(texts)
    if change == "near-duplicates":
        texts = [each for text in texts for each in (text, near_duplicate(text, draw))]
        truth = [
            each for at in range(len(truth)) for each in ((True, at == 0) if at % 2 == 0 else (False, True))
        ]
    return texts, truth


def chunks(draw: random.Random, pages: Sequence[str], overlap: int = 0) -> list[str]:
    """Pieces of Python's documentation, two of each page, as a splitter makes them."""
    found: list[str] = []
    for page in draw.sample(pages, 4):
        size = draw.randrange(400, 2_000)
        start = draw.randrange(len(page) - 2 * size)
        found += [page[start : start + size], page[start + size - overlap : start + 2 * size - overlap]]
    return found


CHANGES = (
    "none",
    "shuffled",
    "head kept",
    "tail kept",
    "middle cut",
    "near-duplicates",
    "boilerplate",
    "overlapping",
    "other documents",
)
ENGLISH_ONLY = ("overlapping", "other documents")


def cases() -> Iterator[Case]:
    for script in ("English", *SCRIPTS):
        for template in TEMPLATES:
            for change in CHANGES:
                if script == "English" or change not in ENGLISH_ONLY:
                    yield case(script, template, change)


def case(script: str, template: str, change: str) -> Case:
    draw = random.Random(f"{script} {template} {change}")
    texts, truth = retrieved(script, change, draw)
    stuffed = [text for text, there in zip(texts, truth, strict=True) if there] or chunks(draw, PAGES[1::2])
    if change == "shuffled":
        draw.shuffle(stuffed)
    if change in ("head kept", "tail kept", "middle cut"):
        stuffed = [cut(text, change, draw) for text in stuffed]
    prompt = QUESTION.format(TEMPLATES[template](stuffed))
    return Case(template, change, script, [Document(content=text) for text in texts], prompt, truth)
