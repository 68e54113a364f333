"""A corpus that every machine has: the documentation strings of Python's standard library.

The sources are parsed and never imported, so collecting them runs no code and needs no optional C library.
"""

import ast
import gc
import inspect
import sysconfig
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

from otel_callbacks.limits import DEMO_DOCUMENT_CHARACTERS

Kind = Literal["module", "function", "class", "method"]

SHORTEST = 40
"""Documentation of fewer characters is left out: a search could not find it."""

_SKIPPED = {
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "site-packages",
    "dist-packages",
    "turtledemo",
    "lib-dynload",
}
_SKIPPED |= {"encodings", "pydoc_data"}  # their modules all document themselves in the same words


@dataclass(frozen=True, slots=True)
class Doc:
    """The documentation string of one module, class, function or method.

    Attributes:
        id: Its full name, such as `hashlib.file_digest`; no two documents share it.
        module: The module that defines it, such as `hashlib`.
        qualname: Its name inside the module, empty for the module itself.
        kind: What is documented.
        source: Path of the file below the standard library, such as `hashlib.py`.
        line: Line of the definition, counted from 1.
        text: Its name and signature, an empty line, and the documentation without indentation.
    """

    id: str
    module: str
    qualname: str
    kind: Kind
    source: str
    line: int
    text: str


def load(limit: int | None = None) -> list[Doc]:
    """Collects the documentation, ordered by source path and line.

    Args:
        limit: Returns at most this many documents; None returns all.
    """
    with _collector_paused():
        return list(islice(_unique(_documents(Path(sysconfig.get_path("stdlib")))), limit))


def most_general(docs: Sequence[Doc], limit: int) -> list[Doc]:
    """Returns at most `limit` of the documents: modules first, then functions, classes and methods."""
    return sorted(docs, key=lambda doc: get_args(Kind).index(doc.kind))[:limit]


@contextmanager
def _collector_paused() -> Iterator[None]:
    # Syntax trees are many objects without cycles; in a large process, looking for cycles doubles the time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _unique(docs: Iterator[Doc]) -> Iterator[Doc]:
    # A name may be defined twice: for two platforms, or as a property and its setter. The first one counts.
    seen: set[str] = set()
    for doc in docs:
        if doc.id not in seen:
            seen.add(doc.id)
            yield doc


def _documents(root: Path) -> Iterator[Doc]:
    for path in _sources(root):
        relative = path.relative_to(root)
        parts = relative.with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        with warnings.catch_warnings():  # old sources hold invalid escapes
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(path.read_bytes(), filename=str(path))
        yield from _walk(tree, module, "", relative.as_posix())


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if _is_private(path.stem) or path.name in _SKIPPED:
            continue
        if path.is_dir():
            yield from _sources(path)
        elif path.suffix == ".py":
            yield path


def _is_private(name: str) -> bool:
    return name.startswith("_") and name != "__init__"


def _walk(node: ast.AST, module: str, qualname: str, source: str) -> Iterator[Doc]:
    """Yields the document of a definition, then those of the definitions inside it."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        documentation = ast.get_docstring(node) or _assigned_docstring(node)
        if documentation and len(documentation) >= SHORTEST:
            yield _document(node, documentation, module, qualname, source)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if not child.name.startswith("_"):
                yield from _walk(child, module, f"{qualname}.{child.name}".lstrip("."), source)
        elif isinstance(child, ast.If | ast.Try):  # a definition for one platform, or with a fall-back
            yield from _walk(child, module, qualname, source)


def _assigned_docstring(node: ast.AST) -> str | None:
    """Returns the documentation of a module that assigns `__doc__ = "..."`, as hashlib does."""
    for child in ast.iter_child_nodes(node) if isinstance(node, ast.Module) else ():
        match child:
            case ast.Assign(targets=[ast.Name(id="__doc__")], value=ast.Constant(value=str(text))):
                return inspect.cleandoc(text)
    return None


def _document(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
    documentation: str,
    module: str,
    qualname: str,
    source: str,
) -> Doc:
    name = f"{module}.{qualname}".rstrip(".")
    title, kind, line = f"module {name}", _kind(node, qualname), 1
    if isinstance(node, ast.ClassDef):
        title, line = f"class {name}", node.lineno
    elif not isinstance(node, ast.Module):
        title, line = f"{name}({ast.unparse(node.args)})", node.lineno
    return Doc(name, module, qualname, kind, source, line, f"{title}\n\n{_cut(documentation)}")


def _kind(node: ast.AST, qualname: str) -> Kind:
    if isinstance(node, ast.Module):
        return "module"
    if isinstance(node, ast.ClassDef):
        return "class"
    return "method" if "." in qualname else "function"


def _cut(text: str) -> str:
    if len(text) <= DEMO_DOCUMENT_CHARACTERS:
        return text
    end = text.rfind("\n", SHORTEST, DEMO_DOCUMENT_CHARACTERS)
    return text[: end if end > 0 else DEMO_DOCUMENT_CHARACTERS].rstrip()
