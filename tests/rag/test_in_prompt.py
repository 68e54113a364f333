"""Which retrieved documents are in a prompt, measured on prompts whose documents are known."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_cases import PAGES, SCRIPTS, Case, cases
from vocabulary import real_tokens

from otel_callbacks.operations import Document
from otel_callbacks.rag import in_prompt as in_prompt_file
from otel_callbacks.rag.in_prompt import in_prompt, token_share

Counts = Counter[tuple[bool, bool]]  # is there, was found


def found(texts: Sequence[str], prompt: str) -> list[bool]:
    return [share > 0 for share in in_prompt([Document(content=text) for text in texts], prompt)]


@pytest.fixture(scope="module")
def measured() -> Mapping[str, Counts]:
    """Counts what was found, over all cases and by category."""
    counts: dict[str, Counts] = defaultdict(Counter)
    for case in cases():
        outcomes = list(zip(case.truth, map(bool, in_prompt(case.documents, case.prompt)), strict=True))
        for category in ("all", *categories(case)):
            counts[category].update(outcomes)
    return counts


def categories(case: Case) -> Sequence[str]:
    return (f"template: {case.template}", f"change: {case.change}", f"script: {case.script}")


def precision(counts: Counts) -> float:
    return 1 - counts[False, True] / max(1, counts[False, True] + counts[True, True])


def recall(counts: Counts) -> float:
    return 1 - counts[True, False] / max(1, counts[True, False] + counts[True, True])


def test_precision_and_recall(measured: Mapping[str, Counts]) -> None:
    for category, counts in measured.items():
        told = f"precision {precision(counts):.3f} recall {recall(counts):.3f} of {counts.total()}"
        print(f"{category:28} {told}")  # noqa: T201 - the measurement is what the test is for
    assert len(list(cases())) >= 200
    assert precision(measured["all"]) > 0.99
    assert recall(measured["all"]) > 0.96
    for counts in measured.values():
        assert counts[False, True] < 0.05 * counts.total()  # in some, no document is there
        assert (
            recall(counts) > 0.88
        )  # where a text of two lines is cut to its last words, little is left to find


@pytest.mark.parametrize("change", ["none", "shuffled", "near-duplicates", "boilerplate"])
def test_documents_that_are_not_cut_are_found(measured: Mapping[str, Counts], change: str) -> None:
    assert recall(measured[f"change: {change}"]) > 0.99


@pytest.mark.parametrize("script", SCRIPTS)
def test_how_much_of_a_document_is_in_the_prompt(script: str) -> None:
    whole, cut, absent, _ = (Document(content=text) for text in SCRIPTS[script])
    assert whole.content and cut.content
    prompt = f"Context:\n> {whole.content.replace(' ', '  ')}\n> {cut.content[: len(cut.content) // 2]}"
    shares = in_prompt([absent, whole, cut], prompt)
    assert shares[:2] == [0.0, 1.0]
    assert shares[2] == pytest.approx(0.5, abs=0.2)


def test_copies_count_as_often_as_they_are_there() -> None:
    text = PAGES[0][:500]
    assert found([text, text, text], f"{text}\n\n{text}") == [True, True, False]


def test_a_passage_belongs_to_the_longer_document() -> None:
    page = PAGES[0]
    assert found([page[200:900], page[:1_500]], f"Context: {page[:1_500]}") == [False, True]


@pytest.mark.parametrize(
    ("text", "prompt", "there"),
    [
        ("two", "Context: one\n\ntwo\n\nQuestion: which?", True),
        ("one", "Nobody knows.", False),
        ("two", json.dumps({"context": "one\ntwo"}), True),
        ("", "Nothing.", False),
        ("***", "***", False),
        ("Straße nach Köln", "STRASSE NACH KO\u0308LN", True),
        ("a < b && c", "a &lt; b &amp;&amp; c", True),
        ("北京", '{"text": "\\u5317\\u4eac"}', True),
    ],
)
def test_short_documents_are_found_as_words(text: str, prompt: str, there: bool) -> None:
    assert found([text], prompt) == [there]


def test_documents_without_content() -> None:
    assert in_prompt([Document("d1"), Document("d2", content="two")], "one or two") == [0.0, 1.0]
    assert in_prompt([], "anything") == []


def test_the_share_of_the_prompts_tokens() -> None:
    documents = [Document(content=page[:1_500]) for page in PAGES[:4]]
    context = "\n\n".join(page[:1_500] for page in PAGES[:2])
    prompt = f"Answer from the context.\n\n{context}\n\n{PAGES[5][:1_500]}"
    share = token_share(documents, in_prompt(documents, prompt), prompt)
    assert share == pytest.approx(real_tokens(context) / real_tokens(prompt), abs=0.04)
    assert token_share(documents, [1.0] * 4, "") == 0.0


A_MILLION = 1_000_000


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("a" * 1_000 + "b" + "a" * 1_000, "a" * A_MILLION),
        ("中文" * 500 + "國", "中文" * (A_MILLION // 2)),
        ("e" + "\u0301" * 2_000, "\u0301\u0323" * (A_MILLION // 2)),
        ("\\u0061 " * 300, "\\u0061&lt;\\n" * (A_MILLION // 12)),
        ("\\ " * 1_000, "\\" * A_MILLION),
        ("x " * A_MILLION, " ".join(PAGES)[:A_MILLION]),
    ],
)
def test_work_is_bounded(text: str, prompt: str) -> None:
    """It takes a few milliseconds of processor time; the limit leaves room for slow machines."""
    documents = [Document(content=f"{text} {number}") for number in range(10)]
    started = time.thread_time()
    in_prompt(documents, prompt)
    assert time.thread_time() - started < 0.1


def test_a_text_without_words_is_found_in_quotes() -> None:
    table = Document(content="+---+---+\n|   |   |\n" * 4)
    for prompt in (table.content, repr([table.content]), json.dumps({"context": table.content})):
        assert in_prompt([table], f"Read this: {prompt}") == [1.0]


def test_three_hundred_documents_are_found_in_the_conversation_of_an_agent() -> None:
    """They stand there in the order in which they were found, and have many lengths."""
    documents = [
        Document(content=f"{at}: " + f"page {at} has the number {at * 7919} " * (at % 7 + 8))
        for at in range(300)
    ]
    prompt = "\n".join(f"Here is what I found.\n{each.content}" for each in documents)
    assert in_prompt(documents, prompt) == [1.0] * 300


def found_one_by_one(texts: Sequence[str], prompt: str) -> list[bool]:
    """Tells the same of texts that stand in the prompt unchanged, by its definition and not quickly."""
    taken, last, there = [False] * len(prompt), 0, [False] * len(texts)

    def free(text: str, start: int) -> int:
        places = [
            at
            for at in range(len(prompt))
            if prompt.startswith(text, at) and not any(taken[at : at + len(text)])
        ]
        return next((at for at in places if at >= start), next(iter(places), -1))

    absent: set[str] = set()
    for at in sorted(range(len(texts)), key=lambda at: -len(texts[at])):
        text, head = texts[at], texts[at][:40]
        if len(text) < 40 or head in absent:
            continue
        begins = free(head, last)
        if begins < 0:
            absent.add(head)
        elif (place := free(text, begins)) >= 0:
            last = place + len(text)
            taken[place:last] = [True] * len(text)
            there[at] = True
    return there


pieces = st.sampled_from(["a" * 20, "b" * 20, "ab" * 10, "a"])
chunks = st.lists(pieces, min_size=1, max_size=5).map("".join)


@given(st.lists(chunks, min_size=1, max_size=6), st.lists(chunks, max_size=8).map("".join))
def test_unchanged_texts_are_found_as_if_one_by_one(texts: list[str], prompt: str) -> None:
    shares = [0.0] * len(texts)
    in_prompt_file._take_whole(texts, shares, prompt)
    assert list(map(bool, shares)) == found_one_by_one(texts, prompt)
