"""Gives one object a class of its own, derived from its old one, to change a method of that object only.

It stays the same object with the same name, fields, identity and serialisation, so code that already holds it
is affected, too. Copies and unpickled objects have the changed method as well.
"""

import types
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Rewrap = Callable[[Any], Any]
"""Gives a copy of the object a class of its own, too. It must be picklable."""

_original_classes: "weakref.WeakKeyDictionary[type, type]" = weakref.WeakKeyDictionary()


def original_class(kind: type) -> type:
    """Returns the class that `kind` was derived from, or `kind` itself if it is no class of one object."""
    return _original_classes.get(kind, kind)


def has_own_class(component: Any) -> bool:
    """Tells whether the object has a class of its own."""
    return type(component) in _original_classes


def derive(kind: type, methods: Mapping[str, Any], rewrap: Rewrap) -> type:
    """Returns a class with the same name as `kind` and other methods."""

    def reduce(component: Any, protocol: Any) -> Any:
        reduced = super(derived, component).__reduce_ex__(protocol)  # type: ignore[arg-type]
        if not isinstance(reduced, tuple):
            return reduced
        make, arguments, *state = reduced
        plain = tuple(kind if argument is derived else argument for argument in arguments)
        return (_rebuild, (make, plain, rewrap), *state)

    body = {
        "__slots__": (),  # Python only allows a class of the same layout
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__reduce_ex__": reduce,
        **methods,
    }
    derived = types.new_class(kind.__name__, (kind,), exec_body=lambda namespace: namespace.update(body))
    _original_classes[derived] = kind
    return derived


def set_class(component: Any, kind: type) -> None:
    """Sets the class of an object.

    Raises:
        TypeError: Python does not allow the object another class.
    """
    object.__setattr__(component, "__class__", kind)


def _rebuild(make: Callable[..., Any], arguments: Sequence[Any], rewrap: Rewrap) -> Any:
    """Makes a copy of an object: built by its original class, then wrapped."""
    component = make(*arguments)
    rewrap(component)
    return component
