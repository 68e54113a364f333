"""README and documentation: every block runs and prints what is shown below it, and every link leads somewhere."""

import ast
import builtins
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import pages
import pytest
import reference
import yaml

import otel_callbacks
from otel_callbacks import PriceBook, semconv
from otel_callbacks.conformance import check_file
from otel_callbacks.conformance.attributes import check_attributes
from otel_callbacks.conformance.registry import load, profile_names
from otel_callbacks.cost.rates import UnpricedReason

ROOT = pages.ROOT
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
README = ROOT / "README.md"
ALL_EXCERPTS = "The blocks of this page are excerpts"
REPOSITORY = re.compile(r"https://github\.com/otel-callbacks/otel-callbacks/(?:blob|tree)/main/")
FRAMEWORKS = (
    "langchain_core.vectorstores",
    "langgraph.prebuilt",
    "llama_index.core",
    "otel_callbacks.handler",
)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def runnable(path: Path) -> list[pages.Block]:
    text = path.read_text()
    return [] if ALL_EXCERPTS in text else [block for block in pages.blocks(text) if not block.is_excerpt]


def assert_ran(blocks: list[pages.Block], ran: pages.Ran) -> None:
    assert ran.error is None, ran.error
    in_notebook = any(block.is_cell for block in blocks)
    for block, printed in zip(blocks, ran.printed, strict=True):
        if block.shown is not None:
            assert pages.comparable(printed) == pages.comparable(block.shown)
        elif not in_notebook:  # where a cell shows a picture
            assert not printed, "show below the block what it prints"


def assert_traces_conform(folder: Path, blocks: list[pages.Block]) -> None:
    """LlamaIndex's mock model has no provider, and we do not invent one."""
    mocks = any("MockLLM" in block.code for block in blocks)
    tolerated = {"gen_ai.provider.name is required"} if mocks else set()
    for file in folder.glob(".otel_callbacks/*.jsonl"):
        assert {found.message for found in check_file(file) if found.level == "violation"} <= tolerated


# README


def starts() -> Iterator[tuple[str, str, pages.Block]]:
    """Yields the sections of the README that have a Python block: the heading, what is installed, the block."""
    for section in README.read_text().split("\n## ")[1:]:
        for block in pages.blocks(section):
            yield section.partition("\n")[0], section.partition("pip install ")[2].partition("\n")[0], block


STARTS = list(starts())


def test_the_readme_has_four_starts_and_fits_on_150_lines() -> None:
    assert [heading for heading, *_ in STARTS] == ["LangChain", "LangGraph", "LlamaIndex", "Jupyter"]
    assert len(README.read_text().splitlines()) <= 150


@pytest.mark.parametrize(
    ("installed", "block"), [start[1:] for start in STARTS], ids=[heading for heading, *_ in STARTS]
)
def test_a_start_needs_only_what_it_installs(installed: str, block: pages.Block, tmp_path: Path) -> None:
    only = [
        each for each in installed.replace('"', "").split() if each != "jupyterlab"
    ]  # the notebook itself
    assert only
    ran = pages.run([block], tmp_path, only)
    assert_ran([block], ran)
    assert_traces_conform(tmp_path, [block])


@pytest.mark.services
@pytest.mark.parametrize(
    ("installed", "block"), [start[1:] for start in STARTS], ids=[heading for heading, *_ in STARTS]
)
def test_a_start_in_a_fresh_environment(
    installed: str, block: pages.Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's first minutes. `STARTS_PYTHON` names another Python than the one that runs the tests."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    chosen = os.environ.get("STARTS_PYTHON", sys.executable)
    subprocess.run([chosen, "-m", "venv", tmp_path / "environment"], check=True)
    python = tmp_path / "environment" / "bin" / "python"
    wanted = [each.replace("otel-callbacks", str(ROOT), 1) for each in shlex.split(installed)]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    assert_ran([block], pages.run([block], tmp_path, python=python))


# documentation


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Path, tuple[Path, pages.Ran]]:
    """Every page, the folder in which it ran, and what came out. They run together because imports take longest."""
    folders = {tmp_path_factory.mktemp(path.stem): path for path in PAGES if runnable(path)}
    results = pages.run_all({folder: runnable(path) for folder, path in folders.items()}, preload=FRAMEWORKS)
    return {folders[folder]: (folder, result) for folder, result in results.items()}


@pytest.mark.parametrize("path", list(filter(runnable, PAGES)), ids=name)
def test_a_page_runs(path: Path, ran: Mapping[Path, tuple[Path, pages.Ran]]) -> None:
    folder, result = ran[path]
    assert_ran(runnable(path), result)
    assert_traces_conform(folder, runnable(path))


def test_a_page_that_fails_or_prints_something_else_is_seen(tmp_path: Path) -> None:
    text = "".join(
        f"```python\n{code}\n```\n\n```\n{shown}\n```\n\n"
        for code, shown in (("print('6 ms')", "5 ms"), ("print(1)", "2"), ("1 / 0", ""))
    )
    blocks = pages.blocks(text)
    result = pages.run(blocks, tmp_path)
    assert result.printed == ["6 ms\n", "1\n"]
    assert result.error is not None and "ZeroDivisionError" in result.error
    assert_ran(blocks[:1], pages.run(blocks[:1], tmp_path))
    with pytest.raises(AssertionError):
        assert_ran(blocks[:2], pages.run(blocks[:2], tmp_path))


@pytest.mark.parametrize("path", [README, *PAGES], ids=name)
def test_excerpts_compile_and_say_which_names_are_the_readers(path: Path) -> None:
    text, known = path.read_text(), set(dir(builtins))
    for block in pages.blocks(text):
        code = "\n".join(line for line in block.code.splitlines() if not line.startswith("%"))
        tree = compile(code, name(path), "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        known |= names(tree, ast.Store)
        if block.is_excerpt:
            said = set(re.findall(r"\w+", block.code.partition("\n")[0]))
            assert names(tree, ast.Load) <= known | said


def names(tree: ast.AST, kind: type[ast.expr_context]) -> set[str]:
    """Returns the names that are read, or those that are bound in any way."""
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, kind)}
    if kind is ast.Load:
        return found
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.alias():
                found.add((node.asname or node.name).partition(".")[0])
            case ast.arg():
                found.add(node.arg)
    return found


def test_the_price_book_of_the_guide_can_be_read() -> None:
    (text,) = re.findall(
        r"^```toml\n(.*?)^```", (DOCS / "guides" / "cost.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert [entry.model for entry in PriceBook.of(tomllib.loads(text)).entries] == [
        "claude-opus-*",
        "llama-3.3-*",
    ]


# links


def anchors(path: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


@pytest.mark.parametrize("path", [README, *PAGES], ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        assert not re.search(r"://(pypi\.org|pypi\.python\.org|anaconda\.org|npmjs\.com)", link)
        here = REPOSITORY.sub(f"{ROOT}/", link)
        if "://" in here:
            continue
        file, _, anchor = here.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_navigation() -> None:
    text = re.sub(r"^theme:.*?^\S", "", (ROOT / "mkdocs.yml").read_text(), flags=re.DOTALL | re.MULTILINE)
    navigation = set(re.findall(r"[\w/]+\.md", str(yaml.safe_load(text)["nav"])))
    assert navigation == {str(path.relative_to(DOCS)) for path in PAGES}


# reference


@pytest.fixture(scope="module")
def references() -> dict[str, str]:
    """Made in a process of its own: a click command keeps the help option that it was first asked for."""
    made = subprocess.run(
        [sys.executable, "-c", "import json, reference; print(json.dumps(reference.pages()))"],
        cwd=ROOT / "docs/scripts",
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(made.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("page", ["attributes.md", "metrics.md", "limits.md", "commands.md"])
def test_the_reference_is_what_the_code_says(references: dict[str, str], page: str) -> None:
    assert (reference.FOLDER / page).read_text() == references[page], "run: make reference"


def test_every_name_has_a_meaning() -> None:
    emitted = {value for key, value in vars(semconv).items() if key.isupper()}
    for kind, meanings in reference.MEANINGS.items():
        labels = {each for each in emitted if isinstance(each, str) and re.fullmatch(r"app\.\w+", each)}
        wanted = (reference.registered(kind).keys() & emitted) | (labels if kind == "attributes" else set())
        assert wanted <= meanings.keys(), "say in docs/reference/meanings.toml what it means"
        of_profiles = {
            each for profile in reference.EXTENSIONS["profiles"].values() for each in profile.get(kind, ())
        }
        assert meanings.keys() <= emitted | of_profiles | {"exception"}, "it is not emitted any more"


def test_every_reason_is_explained() -> None:
    assert list(reference.REASONS) == list(get_args(UnpricedReason))


def test_every_example_is_of_its_attributes_type() -> None:
    examples = {key: example for key, (_, example) in reference.MEANINGS["attributes"].items()}
    found = check_attributes("example", examples, load(profile_names()))
    assert [each.message for each in found] == []


def test_the_api_page_has_every_public_name() -> None:
    written = set(re.findall(r"^::: .*\.(\w+)$", (DOCS / "reference" / "api.md").read_text(), re.MULTILINE))
    assert set(otel_callbacks.__all__) <= written


def test_the_version_is_that_of_the_package() -> None:
    assert otel_callbacks.__version__ == version("otel-callbacks")
    assert "__version__" in dir(otel_callbacks)
