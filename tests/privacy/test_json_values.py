"""Any value becomes valid JSON of bounded size, quickly, and is not changed."""

import copy
import json
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

import numpy
import pandas
import pydantic
import pydantic.v1
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._internal import _encode_value

from otel_callbacks.privacy.allowance import Allowance
from otel_callbacks.privacy.json_values import JsonConverter, to_json
from otel_callbacks.privacy.redactor import Redactor

REDACTOR = Redactor((), ())


def converted(value: Any, characters: float = 65_536) -> Any:
    return JsonConverter(REDACTOR, Allowance(characters)).convert(value)


class Hostile:
    """Fails whatever is done with it."""

    def _fail(self, *args: Any) -> Any:
        raise RuntimeError("hostile")

    __repr__ = __str__ = __eq__ = __hash__ = __len__ = __iter__ = __bool__ = __getattr__ = _fail  # type: ignore[assignment]
    __class__ = property(_fail)  # type: ignore[assignment]


class LyingList(list[Any]):
    def __len__(self) -> int:
        return -1

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield "lie"

    def __getitem__(self, at: Any) -> Any:
        raise RuntimeError("hostile")


class LyingDict(dict[Any, Any]):
    def items(self) -> Any:
        raise RuntimeError("hostile")

    __iter__ = __len__ = keys = items  # type: ignore[assignment]


class LyingText(str):
    def __str__(self) -> str:
        raise RuntimeError("hostile")

    encode = __len__ = __getitem__ = __str__  # type: ignore[assignment]


class Colour(Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Settings:
    name: str
    api_key: str = "hunter22"
    hidden: str = field(default="kept back", repr=False)


@dataclass(slots=True)
class Slotted:
    name: str


class Model(pydantic.BaseModel, extra="allow"):
    name: str
    api_key: str = "hunter22"
    key: pydantic.SecretStr = pydantic.SecretStr("hunter22")
    hidden: str = pydantic.Field("kept back", exclude=True)
    nothing: str | None = None


class OldModel(pydantic.v1.BaseModel):
    name: str
    password: str = "hunter22"
    nothing: str | None = None


CASES: dict[str, tuple[Any, Any]] = {
    "scalars": ([None, True, 1, 1.5, "Zürich 🔐 秘密"], [None, True, 1, 1.5, "Zürich 🔐 秘密"]),
    "no numbers": ([float("nan"), float("inf"), -float("inf")], ["nan", "inf", "-inf"]),
    "whole numbers": ([2**63 - 1, 2**63, 10**5000], [2**63 - 1, "<int of 64 bits>", "<int of 16610 bits>"]),
    "surrogates": ("a\ud800b \ud83d\ude00", "a\ufffdb 😀"),
    "surrogates in a row": ('\udc00\ud800\ud83d\ude00\ud800"é', '\ufffd\ufffd😀\ufffd"é'),
    "containers": (
        [(1, 2), {1}, frozenset([2]), deque([3]), OrderedDict(a=1), MappingProxyType({"b": 2})],
        [[1, 2], [1], [2], [3], {"a": 1}, {"b": 2}],
    ),
    "keys": (
        {1: "a", None: "b", (1, 2): "c", Hostile: "d"},
        {"1": "a", "None": "b", "<tuple>": "c", "<type>": "d"},
    ),
    "written out": (
        [date(2026, 1, 2), datetime(2026, 1, 2, 3), UUID(int=1), Decimal("1.50"), PurePosixPath("/a")],
        ["2026-01-02", "2026-01-02 03:00:00", "00000000-0000-0000-0000-000000000001", "1.50", "/a"],
    ),
    "enum": (Colour.RED, "red"),
    "named tuple": (Point(1, 2), [1, 2]),
    "bytes": (
        b"abc",
        f"<bytes: 3 bytes, sha256 {'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'}>",
    ),
    "vector": ({"embedding": [0.5] * 768}, {"embedding": "<768 numbers>"}),
    "short row": ([1, 2, 3], [1, 2, 3]),
    "numpy": ([numpy.float64(0.5), numpy.int64(3), numpy.zeros((3, 4))], [0.5, 3, "<12 numbers>"]),
    "pandas": (pandas.DataFrame({"a": [1]}), "<DataFrame>"),
    "dataclass": (Settings("a"), {"name": "a", "api_key": "[redacted]"}),
    "slots": (Slotted("a"), {"name": "a"}),
    "pydantic": (
        Model(name="a", more=1),
        {"name": "a", "api_key": "[redacted]", "key": "<SecretStr>", "more": 1},
    ),  # type: ignore[call-arg]
    "pydantic 1": (OldModel(name="a"), {"name": "a", "password": "[redacted]"}),
    "lock": (threading.Lock(), "<lock>"),
    "function": (len, "<builtin_function_or_method>"),
    "generator": ((item for item in [1]), "<generator>"),
    "hostile": ([Hostile()], ["<Hostile>"]),
    "lying list": (LyingList([1, "a"]), [1, "a"]),
    "lying dict": (LyingDict(a=1), {"a": 1}),
    "lying text": (LyingText("abc"), "abc"),
    "header pair": (
        [("Authorization", "x1"), ("accept", "y1")],
        [["Authorization", "[redacted]"], ["accept", "y1"]],
    ),
    "option": (["tool", "--api-key", "x1", "-v"], ["tool", "--api-key", "[redacted]", "-v"]),
    "option of Go": (("-token", "x1"), ["-token", "[redacted]"]),
    "no option": (["--max-tokens", "x1", "--token=a", "b"], ["--max-tokens", "x1", "--token=a", "b"]),
    "header record": ({"name": "Cookie", "value": "x1"}, {"name": "Cookie", "value": "[redacted]"}),
    "no secret": (
        {"token": 3, "password": None, "secret": True},
        {"token": 3, "password": None, "secret": True},
    ),
    "nested secret": (
        {"a": [{"headers": {"X-Api-Key": ["x1"]}}]},
        {"a": [{"headers": {"X-Api-Key": "[redacted]"}}]},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_value_becomes(case: str) -> None:
    value, expected = CASES[case]
    assert converted(value) == expected


def test_a_socket() -> None:
    with socket.socket() as connection:
        assert converted(connection) == "<socket>"


def test_cycles_end() -> None:
    value: dict[str, Any] = {"name": "a"}
    value["self"] = value
    assert to_json(converted(value)).count("name") == 12


def test_what_does_not_fit_is_counted() -> None:
    shown = converted({"text": "x" * 900, "rows": [{"n": n} for n in range(100)], "last": 1}, 1_000)
    assert shown == {
        "text": "x" * 900,
        "rows": [{"n": 0}, {"n": 1}, {"…": "<1 more>"}, "<97 more>"],
        "…": "<1 more>",
    }


@pytest.mark.parametrize(
    ("text", "end"),
    [("x" * 1000, "x"), ("👩‍👩‍👧" * 200, "👩‍👩‍👧"), ("e\u0301" * 600, "e\u0301"), ('"' * 1000, '"')],
)
def test_a_text_is_cut_between_characters(text: str, end: str) -> None:
    shown = converted(text, 500)
    kept, mark = shown.split("…")
    assert kept.endswith(end)
    assert mark == f"[cut, {len(text):,} characters]"
    assert 400 < len(to_json(shown)) <= 502


def test_a_secret_at_the_cut_is_removed_whole() -> None:
    for at in range(440, 520):
        shown = converted("x " * (at // 2) + "sk-" + "a1b2" * 50 + " y" * 1000, 500)
        assert "a1" not in shown


def test_base64_is_described() -> None:
    image = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ" * 50
    assert converted(f"![x](data:image/png;base64,{image}) what?").startswith(
        "![x](<image/png: 1,650 bytes, sha256 "
    )
    assert converted(image).startswith("<base64: 1,650 bytes, sha256 ")
    assert converted("data:image/png;base64," + image * 3000) == "<image/png: 4,950,000 bytes>"


SLOW: dict[str, Any] = {
    "large state": {f"field {n}": "Retrieval augmented generation. " * 3 for n in range(10_000)},
    "large text": "Retrieval augmented generation, and its friends. " * 400_000,
    "many items": [[n] for n in range(1_000_000)],
    "wide cycles": (wide := [{} for _ in range(50)])
    and [each.update(enumerate(wide)) for each in wide]
    and wide,  # type: ignore[func-returns-value]
    "image": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ" * 500_000,
    "huge number": 10**100_000,
    "matrix": [[0.5] * 3072] * 10_000,
}


@pytest.mark.parametrize("case", SLOW)
def test_no_value_takes_long(case: str) -> None:
    times = []
    for _ in range(5):
        started = time.process_time()
        text = to_json(converted(SLOW[case]))
        times.append(time.process_time() - started)
    assert min(times) < 0.02  # usually a few milliseconds, more on slow and busy machines
    assert len(text) < 70_000


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=50) | st.dates()
)
surrogates = st.text(st.characters(categories=["Cs", "L", "P"]))
odd = st.sampled_from([object(), threading.Lock(), numpy.zeros(3), Settings("a")]) | st.builds(Hostile)
values = st.recursive(
    scalars | surrogates | odd,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(scalars.filter(lambda key: key == key), inner)
        | st.builds(Settings, name=inner)
    ),
    max_leaves=60,
)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(values, st.integers(256, 5_000))
def test_any_value_becomes_valid_json_of_bounded_size(value: Any, room: int) -> None:
    shown = converted(value, room)
    text = to_json(shown)
    assert json.loads(text, parse_constant=pytest.fail) == shown
    assert len(text) <= room + 256
    text.encode()
    _encode_value(shown)


@settings(max_examples=30)
@given(
    st.recursive(st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_values_are_not_changed(value: Any) -> None:
    before = copy.deepcopy(value)
    converted(value, 300)
    assert value == before
