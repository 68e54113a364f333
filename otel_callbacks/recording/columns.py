"""Groups, reads and adds up values by column.

What C code does with a whole column takes a fraction of the time of Python code that looks at one value after the
other. So the loops here are those of `map`, `sum` and the like.
"""

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Mapping
from itertools import chain, repeat
from operator import methodcaller
from typing import Any, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")

_items = methodcaller("items")


def grouped(keys: Iterable[_K], values: Iterable[_V]) -> Mapping[_K, list[_V]]:
    """Returns the values by their keys, both in the order in which they come."""
    groups: defaultdict[_K, list[_V]] = defaultdict(list)
    append: Any = list.append
    deque(map(append, map(groups.__getitem__, keys), values), maxlen=0)  # only runs the loop
    return groups


def read(values: Iterable[object], name: str, default: object = None) -> list[Any]:
    """Returns one attribute of each value; the default for a value that has none, such as None."""
    return [*map(getattr, values, repeat(name), repeat(default))]


def added_up(counts: Iterable[Mapping[_K, int]]) -> Mapping[_K, int]:
    """Returns the sums of counts by key, without those that are 0."""
    keys, numbers = [*zip(*chain.from_iterable(map(_items, counts)), strict=True)] or ((), ())
    sums = ((key, sum(each)) for key, each in grouped(keys, numbers).items())
    return {key: number for key, number in sums if number}
