"""Wraps methods that LangChain fires no callback for: those of one object, or of every object of a class.

A wrapped object gets a class of its own, see `runtime.own_class`.
"""

import functools
import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otel_callbacks.limits import COMPONENT_CLASSES_CACHED
from otel_callbacks.operations import ScoreKind
from otel_callbacks.recording.process_recorder import process_recorder
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime.faults import guarded
from otel_callbacks.runtime.own_class import derive, has_own_class, original_class, set_class


@dataclass(frozen=True, slots=True)
class WrapOptions:
    """The application's arguments for a wrapped object. Copies of the object keep them.

    Attributes:
        recorder: records calls outside any traced run; None leaves them to the process-wide handler. Pickling drops
            it.
        score_kind: what the scores of the object are.
    """

    recorder: Recorder | None = None
    score_kind: ScoreKind | None = None

    def __deepcopy__(self, memo: Any) -> "WrapOptions":
        return self

    def __reduce__(self) -> Any:
        return WrapOptions, (None, self.score_kind)


class WrappedCall:
    """A call in progress: the function that reads its result, and the run to end if the call has its own."""

    __slots__ = ("_complete", "_run")

    def __init__(self, complete: Callable[[Any], Any], run: Run | None = None) -> None:
        self._complete = complete
        self._run = run

    @guarded
    def returned(self, result: Any) -> None:
        """Reads the result and finishes the run."""
        self._complete(result)
        if self._run is not None:
            self._run.recorder.finish(self._run)

    @guarded
    def failed(self, error: BaseException) -> None:
        """Fails the run."""
        if self._run is not None:
            self._run.recorder.fail(self._run, error)


class WrappedMethod:
    """A wrapped method.

    Attributes:
        function: the original function.
        name: its name.
        options: the application's arguments for the object.
    """

    def __init__(self, function: Callable[..., Any], options: WrapOptions) -> None:
        self.function = function
        self.name = function.__name__
        self.options = options
        parameters = list(inspect.signature(function).parameters.values())[1:]  # without `self`
        self._names = [parameter.name for parameter in parameters]
        self._defaults = {parameter.name: parameter.default for parameter in parameters}

    def argument(self, name: str | int, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """Returns an argument of a call, by name or position; None if the method has no such parameter."""
        if isinstance(name, int):
            at, name = name, self._names[name] if name < len(self._names) else ""
        else:
            at = self._names.index(name) if name in self._defaults else len(arguments)
        return arguments[at] if at < len(arguments) else keywords.get(name, self._defaults.get(name))

    def recorder_for(self, around: Run | None) -> Recorder | None:
        """Returns the recorder of the run `around`, else the one in the options, else the process-wide one."""
        if around is not None:
            recorder: Recorder = around.recorder
            return recorder
        return self.options.recorder or process_recorder()


StartCall = Callable[[WrappedMethod, Any, Sequence[Any], Mapping[str, Any]], WrappedCall | None]
"""Runs before the method, with the object and the arguments. Returns None if there is nothing to record."""

MethodTable = tuple[tuple[str, StartCall], ...]
"""The names of the methods to wrap, and what runs before each."""

_wrappers: "weakref.WeakSet[Any]" = weakref.WeakSet()


def _wrap(function: Callable[..., Any], start: StartCall, options: WrapOptions) -> Callable[..., Any]:
    """Returns a function that does the same as `function` and records its calls."""
    wrap = _wrap_coroutine if inspect.iscoroutinefunction(function) else _wrap_function
    wrapper = wrap(WrappedMethod(function, options), guarded(start))
    _wrappers.add(wrapper)
    return wrapper


def _wrap_function(method: WrappedMethod, start: StartCall) -> Callable[..., Any]:
    function = method.function

    @functools.wraps(function)
    def wrapper(component: Any, *arguments: Any, **keywords: Any) -> Any:
        call = start(method, component, arguments, keywords)
        if call is None:
            return function(component, *arguments, **keywords)
        try:
            result = function(component, *arguments, **keywords)
        except BaseException as error:  # only passing through
            call.failed(error)
            raise
        call.returned(result)
        return result

    return wrapper


def _wrap_coroutine(method: WrappedMethod, start: StartCall) -> Callable[..., Any]:
    function = method.function

    @functools.wraps(function)
    async def wrapper(component: Any, *arguments: Any, **keywords: Any) -> Any:
        call = start(method, component, arguments, keywords)
        if call is None:
            return await function(component, *arguments, **keywords)
        try:
            result = await function(component, *arguments, **keywords)
        except BaseException as error:  # only passing through
            call.failed(error)
            raise
        call.returned(result)
        return result

    return wrapper


# --- the methods of one object -----------------------------------------------------------------------------------


def wrap_object(component: Any, methods: MethodTable, options: WrapOptions) -> None:
    """Wraps the methods of one object. A second call only changes the options, if it has any.

    Raises:
        TypeError: Python does not allow the object another class.
    """
    if not has_own_class(component) or options != WrapOptions():
        set_class(component, _wrapped_class(original_class(type(component)), methods, options))


def unwrap_object(component: Any) -> None:
    """Gives an object its original class back."""
    set_class(component, original_class(type(component)))


@functools.lru_cache(maxsize=COMPONENT_CLASSES_CACHED)
def _wrapped_class(kind: type, methods: MethodTable, options: WrapOptions) -> type:
    wrapped = {
        name: _wrap(function, start, options)
        for name, start in methods
        if inspect.isfunction(function := getattr(kind, name, None))
    }
    return derive(kind, wrapped, functools.partial(wrap_object, methods=methods, options=options))


# --- the methods of all subclasses -------------------------------------------------------------------------------

_subclass_hooks: dict[type, Any] = {}
"""The `__init_subclass__` that each wrapped base class had before; None if it had none of its own."""


def wrap_classes(base: type, methods: MethodTable) -> None:
    """Wraps the methods of every subclass of `base`, present and future."""
    if base in _subclass_hooks:
        return
    before = _subclass_hooks[base] = vars(base).get("__init_subclass__")

    def __init_subclass__(kind: Any, /, **keywords: Any) -> None:
        if before is not None:
            before.__get__(None, kind)(**keywords)
        else:
            super(base, kind).__init_subclass__(**keywords)  # type: ignore[arg-type]
        _wrap_own_methods(kind, methods)

    setattr(base, "__init_subclass__", classmethod(__init_subclass__))  # noqa: B010 - set on a class
    for kind in _subclasses(base):
        _wrap_own_methods(kind, methods)


def unwrap_classes(base: type, methods: MethodTable) -> None:
    """Restores everything that `wrap_classes` has changed."""
    if base not in _subclass_hooks:
        return
    before = _subclass_hooks.pop(base)
    if before is not None:
        setattr(base, "__init_subclass__", before)  # noqa: B010
    else:
        delattr(base, "__init_subclass__")
    for kind in _subclasses(base):
        for name, _ in methods if original_class(kind) is kind else ():
            own = vars(kind).get(name)
            if inspect.isfunction(own) and own in _wrappers:
                setattr(kind, name, own.__wrapped__)  # type: ignore[attr-defined]


def _wrap_own_methods(kind: type, methods: MethodTable) -> None:
    """Wraps the methods that a class defines itself; inherited ones are wrapped in the base class."""
    for name, start in methods:
        own = vars(kind).get(name)
        if not inspect.isfunction(own) or own in _wrappers:
            continue
        if not getattr(own, "__isabstractmethod__", False):
            setattr(kind, name, _wrap(own, start, WrapOptions()))


def _subclasses(base: Any) -> Iterator[type]:
    for kind in base.__subclasses__():
        yield kind
        yield from _subclasses(kind)
