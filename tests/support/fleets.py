"""Fleets of runs with a planted cause, or none, for the tests and the benchmark of `why`.

One run is an agent: a retrieval, then two or three rounds of a model call and two or four tools beside each other, then
the answer. Times are simulated; nothing sleeps. What is planted is known, and so are the decoys: a tool
that is as slow as the planted one but hidden behind it, a tenant that only asks questions that need the slow tool, and
a tool whose time varies much and matters little.
"""

import json
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from otel_callbacks.explore import SpanRecord, Why
from otel_callbacks.explore.answers.said import loop_note
from otel_callbacks.explore.spans.tree import SpanTree

SECOND = 10**9
CAUSES = ("slow tool", "hot tenant", "lost cache", "looping agent", "poor index")
TENANTS = [f"tenant-{number}" for number in range(12)]
HOT, CONFOUNDED = TENANTS[3], TENANTS[7]
NEW_VERSION = "2.1"
POOR = "wiki-old"


@dataclass
class Fleet:
    """Draws runs. The seed also draws how much everything varies, and the share of runs that a cause touches."""

    seed: int
    cause: str | None = None
    affected: float = field(init=False)
    noise: float = field(init=False)
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.seed} {self.cause}")
        self.affected = self.chance.uniform(0.06, 0.15)
        self.noise = self.chance.uniform(0.2, 0.5)

    def trees(self, runs: int) -> Iterator[SpanTree]:
        """Yields the traces of that many runs, in conversations of one to six."""
        made = 0
        while made < runs:
            weights = [1 / (1 + place) ** 0.5 for place in range(len(TENANTS))]
            tenant = self.chance.choices(TENANTS, weights)[0]
            session = f"session-{self.chance.getrandbits(40):010x}"
            version = NEW_VERSION if self.chance.random() < 0.3 else "2.0"
            for _ in range(self.chance.randint(1, 6)):
                if made < runs:
                    yield SpanTree.of(_Run(self, tenant, session, version).spans())
                    made += 1

    def spread(self, median: float, noise: float | None = None) -> float:
        """A duration around a median, in seconds."""
        return median * math.exp(self.chance.gauss(0, self.noise if noise is None else noise))


class _Run:
    def __init__(self, fleet: Fleet, tenant: str, session: str, version: str) -> None:
        self.fleet, self.chance = fleet, fleet.chance
        self.labels = {
            "app.tenant_id": tenant,
            "session.id": session,
            "user.id": f"{tenant}-u{hash_of(session)}",
        }
        self.tenant, self.version = tenant, version
        self.resource = {"service.name": "assistant", "service.version": version}
        self.trace_id = f"{self.chance.getrandbits(128):032x}"
        self.at = 1_790_000_000 * SECOND + self.chance.randrange(10**15)
        self.found: list[SpanRecord] = []
        self.prompt = self.chance.randint(800, 1600)
        self.is_hit = self.chance.random() < fleet.affected
        self.needs_citations = self.chance.random() < (0.85 if tenant == CONFOUNDED else 0.25)
        self.results: dict[str, list[int]] = {}

    def span(
        self, name: str, parent: str | None, start: int, seconds: float, **attributes: object
    ) -> SpanRecord:
        operation = name.split()[0] if " " in name else None
        named = {key.replace("__", "."): value for key, value in attributes.items()}
        if operation:
            named["gen_ai.operation.name"] = operation
        record = SpanRecord(
            self.trace_id,
            f"{len(self.found) + 1:016x}",
            parent,
            name,
            "INTERNAL",
            start,
            start + int(seconds * SECOND),
            {**self.labels, **named},
            scope="otel_callbacks",
            resource=self.resource,
        )
        self.found.append(record)
        return record

    def spans(self) -> list[SpanRecord]:
        begin, root = self.at, f"{1:016x}"
        self.found.append(None)  # type: ignore[arg-type]  # the root, whose end is known last
        self.own_time()
        self.retrieve(root)
        rounds = self.chance.randint(2, 3)
        if self.fleet.cause == "looping agent" and self.is_hit:
            rounds = self.chance.randint(9, 15)
        for number in range(rounds):
            self.chat(root, number)
            self.tools(root, number, rounds)
            self.own_time()
        self.chat(root, rounds)
        table = {
            tool: {
                "calls": len(sent),
                "sent_once": sum(sent),
                "resent": sum(n * (len(sent) - at) for at, n in enumerate(sent)),
            }
            for tool, sent in self.results.items()
        }
        failed = self.chance.random() < 0.01
        attributes = {
            **self.labels,
            "gen_ai.operation.name": "invoke_agent",
            "otel_callbacks.rollup.tools": json.dumps(table),
            "rag.documents_in_prompt": 4,
            "rag.documents_cited": self.cited,
            **({"error.type": "ValueError"} if failed else {}),
        }
        self.found[0] = SpanRecord(
            self.trace_id,
            root,
            None,
            "invoke_agent assistant",
            "INTERNAL",
            begin,
            self.at,
            attributes,
            status="ERROR" if failed else "UNSET",
            scope="otel_callbacks",
            resource=self.resource,
        )
        return self.found

    def own_time(self) -> None:
        self.at += int(self.fleet.spread(0.01) * SECOND)

    def retrieve(self, root: str) -> None:
        source = self.chance.choices(["docs", "tickets", POOR], [5, 3, 2])[0]
        score, self.cited = min(0.99, self.chance.gauss(0.82, 0.04)), self.chance.choice([1, 2, 2, 3])
        if self.fleet.cause == "poor index" and source == POOR and self.chance.random() < 0.5:
            score, self.cited = self.chance.gauss(0.4, 0.05), 0
        elif self.chance.random() < 0.03:
            self.cited = 0
        seconds = self.fleet.spread(0.2)
        self.span(
            f"retrieval {source}",
            root,
            self.at,
            seconds,
            gen_ai__data_source__id=source,
            rag__results_count=4,
            rag__top_score=score,
            rag__score_kind="similarity",
        )
        self.at += int(seconds * SECOND)

    def chat(self, root: str, number: int) -> None:
        seconds, output = self.fleet.spread(1.0), self.chance.randint(60, 240)
        if self.fleet.cause == "hot tenant" and self.tenant == HOT and self.chance.random() < 0.7:
            seconds *= 4
        cached = int(self.prompt * 0.8) if number else 0
        if self.fleet.cause == "lost cache" and self.version == NEW_VERSION:
            cached = 0
        cost = {
            "otel_callbacks.cost.input_usd": (self.prompt - cached) * 2.5e-6,
            "otel_callbacks.cost.cache_read_usd": cached * 0.25e-6,
            "otel_callbacks.cost.output_usd": output * 10e-6,
        }
        self.span(
            "chat gpt-4o",
            root,
            self.at,
            seconds,
            gen_ai__request__model="gpt-4o",
            gen_ai__provider__name="openai",
            gen_ai__usage__input_tokens=self.prompt,
            gen_ai__usage__output_tokens=output,
            gen_ai__usage__cache_read__input_tokens=cached,
            gen_ai__usage__cost_usd=sum(cost.values()),
            gen_ai__response__finish_reasons=("stop",),
            otel_callbacks__cost__status="priced",
            gen_ai__response__time_to_first_chunk=seconds * 0.3,
            **cost,
        )
        self.at += int(seconds * SECOND)

    def tools(self, root: str, number: int, rounds: int) -> None:
        used = {"search_docs": self.fleet.spread(0.5), "jittery_lookup": self.fleet.spread(0.02, 1.2)}
        if self.needs_citations and number == min(1, rounds - 1):
            validator = self.fleet.spread(0.6)
            if self.fleet.cause == "slow tool" and self.chance.random() < self.fleet.affected * 2.5:
                validator = self.chance.uniform(20, 41)
            used["citation_validator"] = validator
            used["render_preview"] = validator * self.chance.uniform(0.6, 0.95)  # hidden behind it
        for tool, seconds in used.items():
            tokens = self.chance.randint(100, 300)
            self.results.setdefault(tool, []).append(tokens)
            self.prompt += tokens
            self.span(f"execute_tool {tool}", root, self.at, seconds, gen_ai__tool__name=tool)
        self.at += int(max(used.values()) * SECOND)


def claims(said: Why) -> list[str]:
    """Everything that the answers claim: reasons, and facts in common."""
    found: list[str] = []
    for answer in said.answers:
        steps = (
            *(answer.slow.steps if answer.slow else ()),
            *(answer.expensive.steps if answer.expensive else ()),
        )
        found += (f"reason {each.contribution.step}" for each in steps if each.contribution.is_reason)
        found += (
            f"failing {each.step}"
            for each in (answer.failing.steps if answer.failing else ())
            if each.is_reason
        )
        for question in (answer.slow, answer.expensive, answer.failing, answer.misses):
            if question and question.common:
                found += (f"{type(question).__name__}: {each.fact}" for each in question.common.facts)
    return found


def is_first(said: Why, cause: str) -> bool:
    """Tells whether the answers name the planted cause before everything else."""
    [answer] = said.answers
    slow, expensive, misses = answer.slow, answer.expensive, answer.misses
    match cause:
        case "slow tool":
            own = slow.steps[0].contribution
            return own.is_reason and own.step == ("tool", "citation_validator")
        case "looping agent":
            own = slow.steps[0].contribution
            return own.is_reason and own.by_calls > own.by_length and bool(loop_note(slow))
        case "hot tenant":
            return [str(each.fact) for each in slow.common.facts[:1]] == [f"tenant {HOT}"]
        case "lost cache":
            first = [str(each.fact) for each in expensive.common.facts[:1]]
            return first == [f"service.version {NEW_VERSION}"] and expensive.steps[0].parts[0][0] == "input"
        case "poor index":
            first = [str(each.fact) for each in misses.common.facts[:1]]
            return first == [f"data source {POOR}"] and misses.sources[0].name == POOR
    raise ValueError(cause)


def hash_of(text: str) -> int:
    return sum(map(ord, text)) % 5


def _otlp(value: object) -> dict[str, object]:
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_otlp(each) for each in value]}}
    kind = {bool: "boolValue", int: "intValue", float: "doubleValue"}.get(type(value), "stringValue")
    return {kind: value}


def write(path: Path, trees: Iterable[SpanTree]) -> Path:
    """Writes each trace as one line of OTLP JSON."""

    def attributes(found: Mapping[str, object]) -> list[dict[str, object]]:
        return [{"key": name, "value": _otlp(value)} for name, value in found.items()]

    with path.open("w") as file:
        for tree in trees:
            spans = [
                {
                    "traceId": span.trace_id,
                    "spanId": span.span_id,
                    "parentSpanId": span.parent_id or "",
                    "name": span.name,
                    "startTimeUnixNano": str(span.start_ns),
                    "endTimeUnixNano": str(span.end_ns),
                    "attributes": attributes(span.attributes),
                    "status": {"code": 2 if span.status == "ERROR" else 0},
                }
                for span in tree.spans
            ]
            scope = [{"scope": {"name": "otel_callbacks"}, "spans": spans}]
            resource = {"attributes": attributes(tree.roots[0].resource)}
            file.write(json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": scope}]}) + "\n")
    return path
