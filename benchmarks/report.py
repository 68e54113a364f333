"""Makes tables of what `compare.py` found, and puts them between the marks in README.md and docs/what_it_costs.md."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results.json"
BEGIN, END = "<!-- made by benchmarks/compare.py -->\n", "<!-- end -->\n"
WORKLOADS = {"chain": "RAG chain", "agent": "agent, 5 model calls", "llama_index": "LlamaIndex query"}
_NONE = "–"

Figures = dict[str, Any]


def page(found: Figures) -> str:
    """Returns all tables, as docs/what_it_costs.md shows them."""
    results = found["results"]
    parts = [
        f"Measured on {found['measured']} with Python {found['python']} ({found['machine']}), "
        + ", ".join(f"{name} {number}" for name, number in found["frameworks"].items())
        + ". Bytecodes are counted on Python 3.11 only.",
        "### A call, as it comes",
        calls(results, "defaults"),
        "### With prompts and answers recorded",
        calls(results, "content"),
        "### Not sampled",
        "The sampler drops every trace. Metrics are still counted where there are any:",
        calls(results, "unsampled"),
        "Without metrics:",
        calls(results, "uncounted"),
        "### A span",
        "A call's cost divided by its spans. Who makes few spans pays more for each.",
        per_span(results),
        "### A streamed token, beside the framework's own work",
        tokens(results),
        "### Importing, and switching it on",
        "CPU time after the framework and the SDK have been imported, with set-up; ours without it, then with it.",
        imports(results),
        "### Many at once, many in a trace, many turns",
        "CPU time added to one run, model call or turn, with prompts and answers as by default.",
        sizes(results),
        reasons(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def calls(results: Figures, setting: str) -> str:
    """A table of what a call costs. In brackets: its spans."""

    def cell(figures: Figures) -> str:
        low, middle, high = figures[setting]["cpu_us"]
        spans = f" ({figures['spans']})" if setting in ("defaults", "content") else ""
        return f"{_bytecodes(figures, setting)}{spans} · {middle:,.0f} µs ({low:,.0f} to {high:,.0f})"

    return _by_workload(results, "bytecodes (spans) · CPU time (quartiles)", cell)


def per_span(results: Figures) -> str:
    """A table of what a span costs as it comes."""

    def cell(figures: Figures) -> str:
        spans = figures["spans"]
        return f"{_bytecodes(figures, per=spans)} · {figures['defaults']['cpu_us'][1] / spans:,.0f} µs"

    return _by_workload(results, "bytecodes · CPU time", cell)


def readme(found: Figures) -> str:
    """Returns the table of calls as README.md shows it: bytecodes, spans and CPU time."""

    def cell(figures: Figures) -> str:
        return f"{_bytecodes(figures)} ({figures['spans']}) · {figures['defaults']['cpu_us'][1]:,.0f} µs"

    shown = {name: each for name, each in found["results"].items() if name not in ("sdk", "everything")}
    return _by_workload(shown, "bytecodes (spans) · CPU time", cell)


def _bytecodes(figures: Figures, setting: str = "defaults", per: int = 1) -> str:
    codes = figures[setting]["bytecodes"]
    return _NONE if codes is None else f"{codes / per:,.0f}"


def _by_workload(results: Figures, what: str, cell: Callable[[Figures], str]) -> str:
    rows = []
    for each in results.values():
        found = [each.get("workloads", {}).get(workload, {"reason": ""}) for workload in WORKLOADS]
        rows.append([_name(each), *(_NONE if "reason" in figures else cell(figures) for figures in found)])
    return _table((what, *WORKLOADS.values()), rows)


def tokens(results: Figures) -> str:
    """A table of what a streamed token costs."""

    def cell(figures: Figures, setting: str) -> str:
        if setting not in figures:
            return _NONE
        found = figures[setting]
        codes = f"{found['bytecodes']:,.0f} · " if "bytecodes" in found else ""
        return f"{codes}{found['cpu_us']:.1f} µs"

    rows = [
        [
            _name(each),
            *(
                cell(each["streamed_token"][room], setting)
                for room in each["streamed_token"]
                for setting in ("defaults", "content")
            ),
        ]
        for each in results.values()
        if "streamed_token" in each
    ]
    heads = ("bytecodes · CPU time", "LangChain", "content on", "LlamaIndex", "content on")
    return _table(heads, rows)


def imports(results: Figures) -> str:
    """A table of the time that importing and switching on takes."""
    rows = []
    for each in results.values():
        times = each.get("import_ms", {})
        if any(times.values()):
            rows.append([_name(each), *(_import(times.get(room)) for room in ("langchain", "llama_index"))])
    return _table(("import", "LangChain", "LlamaIndex"), rows)


def _import(times: Sequence[float] | None) -> str:
    return " · ".join(f"{each:,.0f}" for each in times) + " ms" if times else _NONE


_SIZES = {"concurrent": "{} at once", "trace": "trace of {}", "agent": "agent of {} turns"}


def sizes(results: Figures) -> str:
    """A table of what one of many runs, model calls and turns costs."""
    rows, heads = [], []
    for each in results.values():
        if "sizes" not in each:
            continue
        found = [
            (_SIZES[workload].format(size), spent)
            for workload, by in each["sizes"].items()
            for size, spent in by.items()
        ]
        heads = [head for head, _ in found]
        rows.append([_name(each), *(f"{spent:,.0f} µs" for _, spent in found)])
    return _table(("", *heads), rows) if rows else ""


def reasons(results: Figures) -> str:
    """Says why figures are missing."""
    lines = []
    for each in results.values():
        if "failed" in each:
            lines.append(f"- {each['title']}: {each['failed']}")
        for workload, figures in each.get("workloads", {}).items():
            if "reason" in figures:
                lines.append(f"- {each['title']}, {WORKLOADS[workload]}: {figures['reason']}")
    return "\n".join((f"{_NONE} stands for what cannot be measured:\n", *lines)) if lines else ""


def _name(each: Figures) -> str:
    name = f"{each['title']} {each['version']}" if each["title"][0].isupper() else each["title"]
    by_default = [figures.get("content_by_default") for figures in each.get("workloads", {}).values()]
    return f"{name} †" if any(by_default) else name


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(found: Figures) -> list[str]:
    """Puts the tables into the two pages; returns their names."""
    for file, tables in _files(found).items():
        path = REPOSITORY / file
        before, _, rest = path.read_text().partition(BEGIN)
        path.write_text(f"{before}{BEGIN}{tables}{END}{rest.partition(END)[2]}")
    return list(_files(found))


def stale() -> list[str]:
    """Returns the pages whose tables are not those of `results.json`."""
    found = json.loads(RESULTS.read_text())
    pages = _files(found).items()
    return [file for file, tables in pages if f"{BEGIN}{tables}{END}" not in (REPOSITORY / file).read_text()]


def _files(found: Figures) -> dict[str, str]:
    return {"README.md": readme(found) + "\n", "docs/what_it_costs.md": f"\n{page(found)}\n"}


if __name__ == "__main__":
    print(f"written: {', '.join(write(json.loads(RESULTS.read_text())))}")
