"""Measures the error of the token estimate against real vocabularies, on kinds of text it was not fitted to.

    python benchmarks/estimator.py [--vocabulary deepseek=tokenizer.json ...] [--fit]

OpenAI's two vocabularies come with LlamaIndex; others, as a tokenizer.json file, need the package `tokenizers`.
For each kind of text it first prints two errors: that of a text's tokens, in per cent (after scaling to the vocabulary
on the kinds of text that tools return, as normalising to the provider's count does), and that of the share of a
prompt that a tool's results take, in percentage points. Then it compares other measures, such as other models'
vocabularies. `--fit` prints the weights that fit all vocabularies best, except the outdated cl100k.
"""

import argparse
import functools
import os
import random
import statistics
import timeit
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import mul
from pathlib import Path

import llama_index.core
import numpy as np
from texts import Kinds, fitted, unseen

from otel_callbacks.rag.token_estimate import WEIGHTS, estimate, features

Measure = Callable[[str], float]
PAST = "cl100k_base"
PROMPTS = 40


def openai(name: str) -> Measure:
    cache = Path(llama_index.core.__file__).parent / "_static" / "tiktoken_cache"
    os.environ["TIKTOKEN_CACHE_DIR"] = str(cache)
    import tiktoken

    vocabulary = tiktoken.get_encoding(name)
    return functools.cache(lambda text: len(vocabulary.encode(text, disallowed_special=())))


def from_file(path: str) -> Measure:
    from tokenizers import Tokenizer

    vocabulary = Tokenizer.from_file(path)
    return functools.cache(lambda text: len(vocabulary.encode(text, add_special_tokens=False).ids))


def is_language(kind: str) -> bool:
    return kind.startswith("translation")


def scale(kinds: Kinds, count: Measure) -> float:
    """Returns how many real tokens one estimated token is, on average over the kinds of text that tools return."""
    return statistics.geometric_mean(
        sum(map(count, texts)) / sum(map(estimate, texts))
        for kind, texts in kinds.items()
        if not is_language(kind)
    )


def share_errors(kinds: Kinds, kind: str, count: Measure, measure: Measure = estimate) -> list[float]:
    """Returns the errors of the results' share in random prompts of prose, JSON and results of one kind."""
    draw = random.Random(kind)
    errors = []
    for _ in range(PROMPTS):
        results = draw.choices(kinds[kind], k=draw.randrange(1, 5))
        rest = draw.choices(kinds["notes and readmes"], k=draw.randrange(1, 4))
        rest += draw.choices(kinds["JSON files"])
        errors.append(100 * (share(measure, results, rest) - share(count, results, rest)))
    return errors


def share(measure: Measure, results: Sequence[str], rest: Sequence[str]) -> float:
    tokens = sum(map(measure, results))
    return tokens / (tokens + sum(map(measure, rest)))


def summary(errors: Iterable[float]) -> str:
    """Formats the mean, 95th percentile and maximum of the absolute errors, and the bias."""
    found = list(errors)
    sizes = [abs(error) for error in found]
    high = statistics.quantiles(sizes, n=20, method="inclusive")[-1]
    return f"{statistics.mean(sizes):5.1f} {high:5.1f} {max(sizes):5.1f} {statistics.mean(found):+6.1f}"


def report(kinds: Kinds, name: str, vocabularies: Mapping[str, Measure]) -> None:
    count = vocabularies[name]
    unit = scale(kinds, count)
    print(f"\n{name}: {unit:.2f} tokens are estimated as 1")
    print(f"{'':24} {'tokens, %: mean p95 max bias':>33} {'share, points: mean p95 max bias':>36}")
    for kind, texts in kinds.items():
        token_errors = (100 * (estimate(text) * unit / count(text) - 1) for text in texts)
        print(f"{kind:24} {summary(token_errors):>33} {summary(share_errors(kinds, kind, count)):>36}")
    others = {other: measure for other, measure in vocabularies.items() if other != name}
    for title, measure in {"this estimate": estimate, "characters": len, **others}.items():
        errors_by_kind = {kind: share_errors(kinds, kind, count, measure) for kind in kinds}
        for group, wanted in (("tools' kinds", False), ("languages", True)):
            chosen = [
                error
                for kind, some in errors_by_kind.items()
                if is_language(kind) is wanted
                for error in some
            ]
            print(f"  by {title:15} {group:26} {summary(chosen):>49}")


def fit(kinds: Kinds, counts: Sequence[Measure]) -> list[float]:
    """Returns the weights with the least relative error; each kind of text counts the same."""
    rows, sides = [], []
    for texts in kinds.values():
        for text in texts:
            tokens = statistics.geometric_mean(count(text) for count in counts)
            rows.append(np.array(features(text)) / tokens)
            sides.append(len(texts) ** -0.5)
    influence = np.array(sides)
    return [
        float(each) for each in np.linalg.lstsq(np.array(rows) * influence[:, None], influence, rcond=None)[0]
    ]


def sampling_errors(kinds: Kinds) -> Iterable[float]:
    """Yields the error, in per cent, of estimating long texts from samples; each text is made of eight others."""
    draw = random.Random(0)
    texts = [text for some in kinds.values() for text in some]
    for _ in range(500):
        long = "\n".join(draw.choices(texts, k=8))
        yield 100 * (estimate(long) / sum(map(mul, WEIGHTS, features(long))) - 1)


def speed(text: str) -> float:
    """Returns the microseconds per KB."""
    seconds = min(timeit.repeat(lambda: estimate(text), number=200, repeat=5)) / 200
    return seconds * 1e6 / (len(text.encode()) / 1_024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocabulary", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    files = dict(each.split("=", 1) for each in options.vocabulary)
    vocabularies = {name: openai(name) for name in (PAST, "o200k_base")}
    vocabularies |= {name: from_file(path) for name, path in files.items()}
    if options.fit:
        present = [count for name, count in vocabularies.items() if name != PAST]
        print([round(weight, 3) for weight in fit(fitted(), present)])
        return
    kinds = unseen()
    for name in vocabularies:
        report(kinds, name, vocabularies)
    print(f"\nlong texts, %: mean p95 max bias {summary(sampling_errors(kinds))}, from estimating by samples")
    ascii_text, chinese = kinds["C headers"][0], kinds["translation zh_TW"][0]
    print(f"\n{speed(ascii_text):.1f} µs/KB of ASCII, {speed(chinese):.1f} of Chinese")


if __name__ == "__main__":
    main()
