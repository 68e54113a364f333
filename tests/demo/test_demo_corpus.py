"""The corpus is the documentation of the standard library, read without running any of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from otel_callbacks.demo import corpus
from otel_callbacks.demo.corpus import Doc
from otel_callbacks.limits import DEMO_DOCUMENT_CHARACTERS


@pytest.fixture(scope="module")
def docs() -> list[Doc]:
    return corpus.load()


def test_holds_thousands_of_documents(docs: list[Doc]) -> None:
    assert len(docs) > 3000
    assert {doc.kind for doc in docs} == {"module", "class", "function", "method"}
    assert len({doc.id for doc in docs}) == len(docs)


def test_describes_where_a_document_comes_from(docs: list[Doc]) -> None:
    [doc] = [doc for doc in docs if doc.id == "hashlib.file_digest"]
    assert (doc.module, doc.qualname, doc.kind, doc.source) == (
        "hashlib",
        "file_digest",
        "function",
        "hashlib.py",
    )
    assert (
        "def file_digest"
        in Path(corpus.sysconfig.get_path("stdlib"), doc.source).read_text().splitlines()[doc.line - 1]
    )
    assert doc.text.startswith("hashlib.file_digest(fileobj, digest")


def test_finds_documentation_that_a_module_assigns(docs: list[Doc]) -> None:
    [doc] = [doc for doc in docs if doc.id == "hashlib"]
    assert "sha256" in doc.text


def test_leaves_out_what_is_private_tested_or_short(docs: list[Doc]) -> None:
    parts = {part for doc in docs for part in doc.id.split(".")}
    assert not [part for part in parts if part.startswith("_")]
    assert not parts & {"idlelib", "lib2to3"}
    assert not [doc for doc in docs if doc.source.split("/")[0] == "test"]
    bodies = [doc.text.partition("\n\n")[2] for doc in docs]
    assert min(map(len, bodies)) >= corpus.SHORTEST
    assert max(map(len, bodies)) <= DEMO_DOCUMENT_CHARACTERS


def test_comes_in_the_same_order_every_time(docs: list[Doc]) -> None:
    assert corpus.load(limit=300) == docs[:300]


def test_puts_the_general_before_the_particular(docs: list[Doc]) -> None:
    modules = [doc for doc in docs if doc.kind == "module"]
    chosen = corpus.most_general(docs, len(modules) + 1)
    assert chosen[:-1] == modules
    assert chosen[-1].kind == "function"


def test_imports_nothing_it_documents() -> None:
    load = "import sys; from otel_callbacks.demo import corpus; corpus.load(500)"
    code = f"{load}; print('antigravity' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
