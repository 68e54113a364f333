"""Values that belong to objects of other libraries, of which we assume nothing: no hash, no equality, no weakref."""

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class ByIdentity(Generic[K, V]):
    """One value for each object, which `make` makes and which lives as long as the object.

    An object that takes no weak reference is kept alive, with its value. Of those the newest `most` are kept.
    """

    def __init__(self, make: Callable[[K], V], most: int) -> None:
        self._make = make
        self._most = most
        self._referred: dict[int, tuple[weakref.ref[Any], V]] = {}
        self._kept: OrderedDict[int, tuple[K, V]] = OrderedDict()

    def of(self, owner: K) -> V:
        """Returns the value of an object, the same one each time."""
        key = id(owner)
        found: tuple[Any, V] | None = self._referred.get(key) or self._kept.get(key)
        return self._add(key, owner) if found is None else found[1]

    def values(self) -> Iterator[V]:
        """Returns the values of all objects that are alive."""
        return iter([value for _, value in (*self._referred.values(), *self._kept.values())])

    def _add(self, key: int, owner: K) -> V:
        value = self._make(owner)
        forget = self._referred.pop  # not `self`, which the reference would keep alive

        def drop(_: object) -> None:
            forget(key, None)  # no global name, which is gone when the interpreter ends

        try:
            reference = weakref.ref(owner, drop)
        except TypeError:
            kept = self._kept.setdefault(key, (owner, value))
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return kept[1]
        return self._referred.setdefault(key, (reference, value))[1]
