import re
from pathlib import Path

import nbformat
import pytest
from explore_trees import CAPTURED
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter
from span_trees import AGENT

from otel_callbacks.explore.notebook import as_line_magic
from otel_callbacks.explore.pictures.html import render_html
from otel_callbacks.explore.pictures.svg import render_svg

TESTS = Path(__file__).parents[1]
SUPPORT = TESTS / "support"
SETUP = f"""
import sys
sys.path[:0] = [{str(SUPPORT)!r}, {str(TESTS.parent)!r}]
from span_trees import AGENT, RAG, SUPERVISOR
from explore_trees import CAPTURED
from otel_callbacks.explore.notebook import install

class Collection(list):
    def mark(self):
        return len(self)
    def since(self, mark):
        return self[mark:]

collected = Collection([SUPERVISOR])
for _ in range(5):
    install(get_ipython(), collected)
"""
CELLS = {
    "setup": SETUP,
    "last line": "CAPTURED",
    "not asked": "trace = CAPTURED",
    "magic": "%%trace\nimport asyncio\nawait asyncio.sleep(0)\ncollected.append(AGENT)\n'the answer'",
    "after the magic": "collected.append(AGENT)",
    "nothing made": "%%trace\n1",
    "failing": "%%trace\ncollected.append(RAG)\nraise ValueError('of the user')",
    "many": "%%trace\ncollected.extend([RAG, RAG, AGENT, AGENT, AGENT])",
    "argument": "%%trace verbose\n1",
    "reloaded": "import os\nos.environ['OTEL_TRACES_EXPORTER'] = 'none'\n%load_ext otel_callbacks\n"
    + "%reload_ext otel_callbacks\n" * 4,
    "magic of the extension": "%%trace\nfrom otel_callbacks import traces, workflow\nwith workflow('w'):\n    pass",
    "traces of the extension": "[trace.name for trace in traces]",
    "unloaded": "%unload_ext otel_callbacks\nget_ipython().find_line_magic('trace') is None",
    "diff": "CAPTURED.diff(RAG)",
    "in a list": "[CAPTURED]",
}


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    folder = tmp_path_factory.mktemp("without-traces")  # `traces` has those of the folder, too
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    book = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(book, allow_errors=True, resources={"metadata": {"path": str(folder)}})
    return client.execute()


@pytest.fixture
def outputs(notebook):
    return {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}


def shown(outputs):
    """The format of each output, or the text that was printed or raised."""
    return [list(output.get("data", ())) or output.get("text") or output.ename for output in outputs]


PICTURE, REST = ["image/svg+xml", "text/plain"], ["text/html", "text/plain"]


def test_a_trace_has_two_outputs_each_with_plain_text(outputs):
    picture, rest = outputs["last line"]
    assert picture.data == {"image/svg+xml": render_svg(CAPTURED), "text/plain": str(CAPTURED)}
    assert rest.data["text/html"] == render_html(CAPTURED, below_picture=True)
    assert (
        rest.data["text/plain"].splitlines()[0]
        == "retrieval 1. 0.831 doc-7 guide.md kept, in the prompt, cited"
    )


def test_other_cells_show_nothing(outputs):
    assert [outputs["setup"], outputs["not asked"], outputs["after the magic"]] == [[], [], []]
    assert shown(outputs["in a list"]) == [["text/plain"]]


def test_the_magic_shows_the_traces_of_its_cell_and_leaves_the_cell_unchanged(outputs):
    assert shown(outputs["magic"]) == [["text/plain"], PICTURE, REST]
    answer, picture, _ = outputs["magic"]
    assert (answer.output_type, answer.data["text/plain"]) == ("execute_result", "'the answer'")
    assert picture.data["text/plain"] == str(AGENT)


def test_the_magic_shows_the_traces_of_a_failing_cell(outputs):
    assert shown(outputs["failing"]) == ["ValueError", PICTURE, REST]


def test_the_magic_says_if_there_are_no_traces_or_too_many(outputs):
    assert shown(outputs["nothing made"])[1:] == ["%%trace: this cell made no trace\n"]
    assert shown(outputs["many"]) == [*[PICTURE, REST] * 3, "%%trace: 2 earlier traces not shown\n"]


def test_the_magic_takes_no_arguments(outputs):
    assert shown(outputs["argument"]) == ["ValueError"]
    assert outputs["argument"][0].evalue == "%%trace takes no arguments, not 'verbose'"


def test_the_extension_adds_and_removes_the_magic(outputs):
    assert shown(outputs["magic of the extension"]) == [PICTURE, REST]
    assert outputs["traces of the extension"][0].data["text/plain"] == "['invoke_workflow w']"
    assert outputs["unloaded"][0].data["text/plain"] == "True"


def test_a_diff_is_one_output(outputs):
    assert shown(outputs["diff"]) == [REST]


@pytest.mark.parametrize("sanitised", [False, True])
def test_nbconvert_shows_picture_and_documents(notebook, sanitised):
    page, _ = HTMLExporter(sanitize_html=sanitised).from_notebook_node(notebook)
    assert len(re.findall(r'<img [^>]*src="data:image/svg\+xml', page)) == 7
    assert "<b>retrieval product-docs</b> · 2 documents" in page
    assert "&lt;tbody&gt;" not in page
    assert "&lt;div&gt;" not in page


def test_markdown_keeps_the_rest(notebook):
    written, resources = MarkdownExporter().from_notebook_node(notebook)
    assert "<b>retrieval product-docs</b> · 2 documents" in written
    assert sum(name.endswith(".svg") for name in resources["outputs"]) == 7


@pytest.mark.parametrize(
    ("cell", "changed"),
    [
        (["%%trace\n", "x = 1\n"], ["%trace\n", "x = 1\n"]),
        (["%%tracemalloc\n"], ["%%tracemalloc\n"]),
        (["x = 1\n", "%%trace\n"], ["x = 1\n", "%%trace\n"]),
        ([], []),
    ],
)
def test_only_the_magic_at_the_top_of_a_cell_is_touched(cell, changed):
    assert as_line_magic(cell) == as_line_magic(changed) == changed
