"""Makes methods be watched that LangChain tells no callback of: those of one object, or of every object of a class.

An object is given a class of its own, made from the one it has: it stays the same object, with the same name,
fields, identity and serialisation, and everything that holds it sees its calls recorded.
"""

import functools
import inspect
import types
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otel_callbacks.operations import ScoreKind
from otel_callbacks.recording.in_charge import recorder_in_charge
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runs.current_span import Run
from otel_callbacks.runtime.faults import guarded


@dataclass(frozen=True, slots=True)
class Given:
    """What the application said of an object, which goes with the object's copies.

    Attributes:
        recorder: who records it where nothing around it is recorded; None leaves that to the process-wide
            handler. It stays in the process.
        score_kind: what the scores of the object are.
    """

    recorder: Recorder | None = None
    score_kind: ScoreKind | None = None

    def __deepcopy__(self, memo: Any) -> "Given":
        return self

    def __reduce__(self) -> Any:
        return Given, (None, self.score_kind)


class Call:
    """A call in progress: what to do with its result, and the run to end, if it has one of its own."""

    __slots__ = ("_complete", "_run")

    def __init__(self, complete: Callable[[Any], Any], run: Run | None = None) -> None:
        self._complete = complete
        self._run = run

    @guarded
    def returned(self, result: Any) -> None:
        """Completes the operation."""
        self._complete(result)
        if self._run is not None:
            self._run.recorder.finish(self._run)

    @guarded
    def failed(self, error: BaseException) -> None:
        """Fails the operation."""
        if self._run is not None:
            self._run.recorder.fail(self._run, error)


class Method:
    """A watched method.

    Attributes:
        function: the function that does the work.
        name: what it is called.
        given: what the application said of the object.
    """

    def __init__(self, function: Callable[..., Any], given: Given) -> None:
        self.function = function
        self.name = function.__name__
        self.given = given
        parameters = list(inspect.signature(function).parameters.values())[1:]  # without `self`
        self._names = [parameter.name for parameter in parameters]
        self._defaults = {parameter.name: parameter.default for parameter in parameters}

    def argument(self, name: str | int, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """An argument of a call, by name or by position; None for one that the method does not know."""
        if isinstance(name, int):
            at, name = name, self._names[name] if name < len(self._names) else ""
        else:
            at = self._names.index(name) if name in self._defaults else len(arguments)
        return arguments[at] if at < len(arguments) else keywords.get(name, self._defaults.get(name))

    def recorder_in(self, around: Run | None) -> Recorder | None:
        """Who records a call in this run: who records the run, else who was given, else the process-wide handler."""
        if around is not None:
            recorder: Recorder = around.recorder
            return recorder
        return self.given.recorder or recorder_in_charge()


Watch = Callable[[Method, Any, Sequence[Any], Mapping[str, Any]], Call | None]
"""Called before the method, with the object and the arguments, says what the call is: an operation of its own or a
part of the one around it; None if there is nothing to record."""

Watches = tuple[tuple[str, Watch], ...]
"""The methods to watch, by name."""

_observed: "weakref.WeakSet[Any]" = weakref.WeakSet()


def _observe(function: Callable[..., Any], watch: Watch, given: Given) -> Callable[..., Any]:
    """A function that does what `function` does, and has `watch` record it."""
    observe = _observe_coroutine if inspect.iscoroutinefunction(function) else _observe_function
    observed = observe(Method(function, given), guarded(watch))
    _observed.add(observed)
    return observed


def _observe_function(method: Method, watch: Watch) -> Callable[..., Any]:
    function = method.function

    @functools.wraps(function)
    def observed(component: Any, *arguments: Any, **keywords: Any) -> Any:
        call = watch(method, component, arguments, keywords)
        if call is None:
            return function(component, *arguments, **keywords)
        try:
            result = function(component, *arguments, **keywords)
        except BaseException as error:  # only passing through
            call.failed(error)
            raise
        call.returned(result)
        return result

    return observed


def _observe_coroutine(method: Method, watch: Watch) -> Callable[..., Any]:
    function = method.function

    @functools.wraps(function)
    async def observed(component: Any, *arguments: Any, **keywords: Any) -> Any:
        call = watch(method, component, arguments, keywords)
        if call is None:
            return await function(component, *arguments, **keywords)
        try:
            result = await function(component, *arguments, **keywords)
        except BaseException as error:  # only passing through
            call.failed(error)
            raise
        call.returned(result)
        return result

    return observed


# --- the methods of one object -----------------------------------------------------------------------------------

_originals: "weakref.WeakKeyDictionary[type, type]" = weakref.WeakKeyDictionary()


def watch_object(component: Any, watches: Watches, given: Given) -> None:
    """Has the calls of one object watched. Doing it again only changes what is given, if anything is.

    Raises:
        TypeError: the object cannot be given another class.
    """
    kind = type(component)
    if kind not in _originals or given != Given():
        watched = _watched_class(_originals.get(kind, kind), watches, given)
        object.__setattr__(component, "__class__", watched)


def unwatch_object(component: Any) -> None:
    """Gives an object its own class back."""
    kind = type(component)
    object.__setattr__(component, "__class__", _originals.get(kind, kind))


@functools.lru_cache(maxsize=256)
def _watched_class(kind: type, watches: Watches, given: Given) -> type:
    def reduce(component: Any, protocol: Any) -> Any:
        reduced = super(watched, component).__reduce_ex__(protocol)  # type: ignore[arg-type]
        if not isinstance(reduced, tuple):
            return reduced
        make, arguments, *state = reduced
        plain = tuple(kind if argument is watched else argument for argument in arguments)
        return (_remade, (make, plain, watches, given), *state)

    body = {
        "__slots__": (),  # an object can only be given a class of the same layout
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__reduce_ex__": reduce,
    }
    for name, watch in watches:
        if inspect.isfunction(function := getattr(kind, name, None)):
            body[name] = _observe(function, watch, given)
    watched = types.new_class(kind.__name__, (kind,), exec_body=lambda namespace: namespace.update(body))
    _originals[watched] = kind
    return watched


def _remade(make: Callable[..., Any], arguments: Sequence[Any], watches: Watches, given: Given) -> Any:
    """A copy, made as its own class would have it, watched as the original is."""
    component = make(*arguments)
    watch_object(component, watches, given)
    return component


# --- the methods of all classes below one ------------------------------------------------------------------------

_hooks: dict[type, Any] = {}
"""The hook for new subclasses that each watched class had before; None if it had none of its own."""


def watch_classes(base: type, watches: Watches) -> None:
    """Has the calls of every object of the classes below `base` watched, of those there are and those to come."""
    if base in _hooks:
        return
    before = _hooks[base] = vars(base).get("__init_subclass__")

    def __init_subclass__(kind: Any, /, **keywords: Any) -> None:
        if before is not None:
            before.__get__(None, kind)(**keywords)
        else:
            super(base, kind).__init_subclass__(**keywords)  # type: ignore[arg-type]
        _watch_own(kind, watches)

    setattr(base, "__init_subclass__", classmethod(__init_subclass__))  # noqa: B010 - a class's, not an object's
    for kind in _below(base):
        _watch_own(kind, watches)


def unwatch_classes(base: type, watches: Watches) -> None:
    """Puts everything back that `watch_classes` has changed."""
    if base not in _hooks:
        return
    before = _hooks.pop(base)
    if before is not None:
        setattr(base, "__init_subclass__", before)  # noqa: B010
    else:
        delattr(base, "__init_subclass__")
    for kind in _below(base):
        for name, _ in watches if kind not in _originals else ():
            own = vars(kind).get(name)
            if inspect.isfunction(own) and own in _observed:
                setattr(kind, name, own.__wrapped__)  # type: ignore[attr-defined]


def _watch_own(kind: type, watches: Watches) -> None:
    """Has the methods watched that a class defines itself; those it inherits are its bases'."""
    for name, watch in watches:
        own = vars(kind).get(name)
        if not inspect.isfunction(own) or own in _observed:
            continue
        if not getattr(own, "__isabstractmethod__", False):
            setattr(kind, name, _observe(own, watch, Given()))


def _below(base: Any) -> Iterator[type]:
    for kind in base.__subclasses__():
        yield kind
        yield from _below(kind)
