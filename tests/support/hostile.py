"""Hostile callback arguments, and a way to run sequences of such calls and check what they leave behind.

A sequence is planned from a `random.Random`, so that hypothesis can shrink it and a benchmark can draw millions.
"""

import contextvars
import dataclasses
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple, Protocol, TypeVar
from unittest.mock import MagicMock
from uuid import UUID

import numpy
import pandas
import pydantic
import pydantic.v1
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.testing import Captured, capture

T = TypeVar("T")


class Failing:
    """Raises an error whatever is done with it."""

    def _fail(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("hostile")

    __repr__ = __str__ = __eq__ = __len__ = __iter__ = __bool__ = __getattr__ = __getitem__ = _fail
    __contains__ = __float__ = __int__ = __index__ = __format__ = __lt__ = __call__ = _fail

    def __hash__(self) -> int:
        return 1


class Blocking(Failing):
    """Raises an error, too, but only after 20 ms of CPU time: mere waiting would not be measured."""

    def _wait(self, *args: Any, **kwargs: Any) -> Any:
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass
        raise RuntimeError("hostile")

    __repr__ = __str__ = __eq__ = __len__ = __iter__ = __bool__ = __getattr__ = __getitem__ = _wait
    __contains__ = __float__ = __int__ = __index__ = __format__ = __lt__ = __call__ = _wait


class Lying:
    """Pretends to be a string, endless and equal to everything."""

    __class__ = str  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 2**60

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield self

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self


class FailingDict(dict[Any, Any]):
    def _fail(self, *args: Any) -> Any:
        raise RuntimeError("hostile")

    items = keys = values = get = __iter__ = __len__ = __getitem__ = __contains__ = __eq__ = _fail  # type: ignore[assignment]


class FailingList(list[Any]):
    def _fail(self, *args: Any) -> Any:
        raise RuntimeError("hostile")

    __iter__ = __len__ = __getitem__ = __contains__ = __eq__ = __bool__ = _fail  # type: ignore[assignment]


class FailingText(str):
    def _fail(self, *args: Any) -> Any:
        raise RuntimeError("hostile")

    __str__ = __repr__ = __len__ = __getitem__ = __eq__ = __format__ = encode = startswith = strip = lower = (
        _fail  # type: ignore[assignment]
    )

    def __hash__(self) -> int:
        return 2


class FailingNumber(int):
    def _fail(self, *args: Any) -> Any:
        raise RuntimeError("hostile")

    __int__ = __float__ = __str__ = __repr__ = __eq__ = __lt__ = __le__ = __ge__ = __gt__ = __add__ = (
        __bool__
    ) = _fail  # type: ignore[assignment]

    def __hash__(self) -> int:
        return 3


class FailingError(Exception):
    def _fail(self, *args: Any) -> Any:
        raise RuntimeError("hostile")

    __str__ = __repr__ = __bool__ = _fail  # type: ignore[assignment]


@dataclasses.dataclass
class State:
    name: Any
    lock: Any = dataclasses.field(default_factory=threading.Lock)


class Model(pydantic.BaseModel, extra="allow"):
    name: str = "a"


class OldModel(pydantic.v1.BaseModel):
    name: str = "a"


def _cycle() -> dict[str, Any]:
    cycle: dict[str, Any] = {"name": "a"}
    cycle["self"] = [cycle]
    return cycle


def _deep(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = {"messages": [value]}
    return value


def _socket() -> socket.socket:
    with socket.socket() as closed:
        return closed


# No callback may change any of these.
UNCHANGED: Sequence[Any] = (
    {"a": [1, {"b": None}], "messages": [("user", "hi")], "input": "x"},
    [1, 2, [3, {"c": b"d"}]],
    State("s", None),
    Model(name="m", more=[1]),
    OldModel(),
    numpy.arange(4.0),
    pandas.DataFrame({"a": [1, 2]}),
    _cycle(),
    {"thread_id": 7, "ls_provider": "openai", "ls_model_name": "m", "tenant_id": "t", "langgraph_node": 3},
)

ODD: Sequence[Any] = (
    *(None, True, False, 0, -1, 2**63, -(2**70), 10**400, 1.5, math.nan, math.inf, -math.inf, 1e300),
    *("", "a", "\ud800lone\udfff", "\x00\x1b[31m", "é" * 100, "x" * 2_000_000, "a.b-c" * 100_000),
    *(b"\xff\xfe", bytearray(3), memoryview(b"abc"), Decimal("NaN"), Decimal("-1E+999"), 1 + 2j, UUID(int=1)),
    *([], {}, (), set(), frozenset(), [None], {None: None}, {1: 2, "": [b""]}, [[[]]], {"type": None}),
    *(
        Failing(),
        Blocking(),
        Lying(),
        FailingDict(a=1),
        FailingList([1]),
        FailingText("abc"),
        FailingNumber(5),
    ),
    *(FailingError("x"), ValueError("\ud800"), KeyboardInterrupt(), BaseExceptionGroup("g", [SystemExit()])),
    *(
        threading.Lock(),
        _socket(),
        len,
        int,
        type,
        object(),
        Ellipsis,
        NotImplemented,
        iter([1]),
        MagicMock(),
    ),
    *(
        numpy.int64(5),
        numpy.float32("nan"),
        numpy.array(["a"], object),
        numpy.datetime64("NaT", "s"),
        pandas.NaT,
    ),
    *(State(_cycle()), Model.model_construct(name=Failing()), pandas.Series([1]), _deep(20_000), _deep(3)),
    *(
        {str(n): n for n in range(100_000)},
        list(range(1_000_000)),
        [{"role": "user"}] * 100_000,
        "data:;base64,",
        "{[",
    ),
    *UNCHANGED,
)


class Draw:
    """Draws the arguments of a call: usually proper ones, sometimes odd ones."""

    def __init__(self, random: Random, odd: int = 4) -> None:
        self._random = random
        self._odd = odd

    def choice(self, choices: Sequence[T]) -> T:
        """Returns one of the choices."""
        return choices[self._random.randrange(len(choices))]

    def odd(self) -> Any:
        """Returns any odd value."""
        return self.choice(ODD)

    def usually(self, make: Callable[[], Any]) -> Any:
        """Returns a proper value, except for one odd value in `odd` draws."""
        return self.odd() if self._random.randrange(self._odd) == 0 else make()

    def several(self, make: Callable[[], T]) -> list[T]:
        """Returns a list of none to two values."""
        return [make() for _ in range(self._random.randrange(3))]

    def fields(self, **makers: Callable[[], Any]) -> dict[str, Any]:
        """Returns a mapping with some of these fields."""
        return {name: self.usually(make) for name, make in makers.items() if self._random.randrange(3)}


class Call(NamedTuple):
    """One call of a callback."""

    method: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


class Surface(Protocol):
    """All callbacks of one framework."""

    def plan(self, draw: Draw, calls: int) -> list[Call]:
        """Plans this many calls."""

    def handler(self, **options: Any) -> Any:
        """Makes a handler and installs it in the framework."""

    def methods(self, handler: Any) -> dict[str, Callable[..., Any]]:
        """Returns the callbacks that the framework calls."""

    def close(self) -> None:
        """Ends what is still open, after the last call."""


def run_calls(surface: Surface, plan: Sequence[Call], content: Any) -> list[float]:
    """Makes the calls, which must not raise, and checks what they leave behind.

    Returns the CPU seconds that each call took.
    """
    before = [repr(each) for each in UNCHANGED]
    with capture() as captured:
        handler = surface.handler(**captured.providers, content=content, attribution={"feature": "fuzz"})
        seconds = contextvars.copy_context().run(_make, plan, surface.methods(handler))
        surface.close()
        recorder: Recorder = handler._recorder
        recorder.sweep()
        assert recorder.runs == {}
        counts = vars(recorder.counts)
        assert counts["started"] == counts["ended"] == len(captured.spans), counts
        _check_export(captured)
    assert [repr(each) for each in UNCHANGED] == before
    return seconds


def _make(plan: Sequence[Call], methods: dict[str, Callable[..., Any]]) -> list[float]:
    seconds = []
    for method, arguments, keywords in plan:
        function = methods[method]
        began = time.thread_time()
        function(*arguments, **keywords)
        seconds.append(time.thread_time() - began)
    return seconds


def _check_export(captured: Captured) -> None:
    """Checks that the OTLP exporters can encode everything, and that no span is missing."""
    spans = captured.spans
    sent = encode_spans(spans)
    assert sum(len(scope.spans) for each in sent.resource_spans for scope in each.scope_spans) == len(spans)
    sent.SerializeToString()
    encode_logs(captured._logs.get_finished_logs()).SerializeToString()
    if (data := captured._metrics.get_metrics_data()) is not None:
        encode_metrics(data).SerializeToString()


def slowest(surface: Surface, plan: Sequence[Call], content: Any, budget: float) -> tuple[float, Call | None]:
    """Returns the longest call and its CPU seconds; measures again what exceeds the budget, on a busy machine."""
    seconds = run_calls(surface, plan, content)
    for _ in range(8):
        if max(seconds, default=0) < budget:
            break
        seconds = list(map(min, seconds, run_calls(surface, plan, content)))
    longest = max(range(len(seconds)), key=seconds.__getitem__, default=None)
    return (0.0, None) if longest is None else (seconds[longest], plan[longest])
