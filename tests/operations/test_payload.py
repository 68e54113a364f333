"""Payloads are read by their type; `test_hostile_callbacks` tries everything else."""

from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import numpy
import pytest
from hostile import Failing, FailingDict, FailingList, FailingNumber, FailingText, Lying
from pydantic import BaseModel

from otel_callbacks.operations import payload


class Size(IntEnum):
    BIG = 7


CASES: dict[Callable[[Any], Any], list[tuple[Any, Any]]] = {
    payload.text: [("a", "a"), ("", None), (1, None), (b"a", None), (FailingText("a"), "a"), (Lying(), None)],
    payload.word: [("x" * 300, "x" * 256), ("\ud83d\ude00 \ud800", "😀 \ufffd"), ("", None), (None, None)],
    payload.words: [
        ("a", ("a",)),
        (["a", 1, ""], ("a",)),
        ([], None),
        (None, None),
        (FailingList(["a"]), ("a",)),
    ],
    payload.name: [("a", "a"), (7, "7"), (UUID(int=7), str(UUID(int=7))), (True, None), (10**400, None)],
    payload.integer: [(7, 7), (Size.BIG, 7), (True, None), (2**63, None), (1.5, None), (FailingNumber(7), 7)],
    payload.number: [
        *((7, 7.0), (numpy.float32(0.5), 0.5), (10**400, None), (float("nan"), None), (True, None)),
        *((Decimal(1), None), ("1", None), (FailingNumber(7), 7.0), (Failing(), None)),
    ],
    payload.mapping: [
        *(({"a": 1}, {"a": 1}), (OrderedDict(a=1), {"a": 1}), (MappingProxyType({"a": 1}), {"a": 1})),
        *((FailingDict(a=1), {"a": 1}), ([("a", 1)], {}), (None, {}), (Failing(), {}), (Lying(), {})),
    ],
    payload.items: [([1], [1]), ((1,), (1,)), (FailingList([1]), [1]), ("a", ()), ({1}, ()), (Lying(), ())],
}


@pytest.mark.parametrize("read", CASES, ids=lambda read: read.__name__)
def test_reading(read: Callable[[Any], Any]) -> None:
    for value, expected in CASES[read]:
        found = read(value)
        assert found == expected, type(value)
        assert type(found) is type(expected) or isinstance(found, MappingProxyType)


def test_an_attribute_that_raises_is_none() -> None:
    assert payload.attribute(Failing(), "anything") is None
    assert payload.attribute(Size.BIG, "value") == 7


def test_the_fields_that_a_type_does_not_declare() -> None:
    class Report(BaseModel, extra="allow"):
        prompt_tokens: int

    class Plain:
        def __init__(self) -> None:
            self.prompt_tokens = 1

        def __getattr__(self, name: str) -> Any:
            raise AssertionError("the object's own code ran")

    assert payload.mapping_or_fields(Report(prompt_tokens=1, cached_tokens=2)) == {  # type: ignore[call-arg]
        "prompt_tokens": 1,
        "cached_tokens": 2,
    }
    assert payload.mapping_or_fields(Plain()) == {"prompt_tokens": 1}


def test_several_attributes_are_read_as_each_is() -> None:
    class Model:
        known = "a"

        @property
        def broken(self) -> str:
            raise RuntimeError

    names = ("known", "broken", "unknown")
    for value in (Model(), Failing(), Lying(), None, 7):
        found = list(payload.attributes(value, names))
        assert [*map(type, found)] == [type(payload.attribute(value, name)) for name in names]
    assert list(payload.attributes(Model(), names)) == ["a", None, None]


def test_several_mappings_are_read_as_each_is() -> None:
    values = [{"a": 1}, OrderedDict(b=2), FailingDict(c=3), None, Failing(), "text"]
    assert list(payload.mappings(*values)) == [payload.mapping(value) for value in values]
    assert payload.mappings({"a": 1}, {}) == ({"a": 1}, {})
