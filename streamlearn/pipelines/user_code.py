"""Which files a pipeline of one's own consists of, what Flink must send to its workers; and its errors."""

import ast
import importlib.util
import sys
import traceback
from pathlib import Path

import streamlearn
from streamlearn.pipelines.base import Pipeline

_PROJECT = str(Path(__file__).parent.parent)
_CHECKOUT = Path(__file__).parents[2]
PACKAGES = frozenset({"streamlearn", "flink_jobs", "producer", "serving", "benchmarks"})
"""This project's own: beside a module that stands in the checkout they are no code of its author."""


def find_user_code(pipeline: Pipeline) -> list[Path]:
    """Return the modules and packages of a pipeline of your own that workers cannot import by themselves.

    Those are its module and what that imports from its own folder, or its package, as a whole. Nothing is
    returned for what workers can import anyway: installed packages, and this project's own.
    """
    module = pipeline.reference.partition(":")[0].partition(".")[0]
    # This package is wherever the job's own code is.
    is_own = ":" in pipeline.reference and module != streamlearn.__name__
    spec = importlib.util.find_spec(module) if is_own else None
    if spec is None or spec.origin is None or "site-packages" in spec.origin:
        return []
    origin = Path(spec.origin)
    first = origin.parent if origin.name == "__init__.py" else origin
    paths = [first]
    for path in paths:
        paths += [sibling for sibling in _list_siblings(path, first.parent) if sibling not in paths]
    return paths


def describe_error(error: Exception) -> str:
    """Return an error in one line: its class, unless that goes without saying, its message and its place."""
    if isinstance(error, SyntaxError):
        line = (error.text or "").strip()
        return f"{error.msg}, in {error.filename}, line {error.lineno}{f': {line}' if line else ''}"
    kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
    return f"{kind}{error}{locate_error(error)}"


def locate_error(error: Exception) -> str:
    """Return where in code of one's own an error was raised, such as `, in mine.py, line 3: x = 1 / 0`.

    It is an empty text where none of that is in the traceback.
    """
    frames = traceback.extract_tb(error.__traceback__)
    others = (_PROJECT, sys.prefix, sys.base_prefix, "<")
    own = [frame for frame in frames if not frame.filename.startswith(others)]
    return f", in {own[-1].filename}, line {own[-1].lineno}: {own[-1].line}" if own else ""


def _list_siblings(path: Path, folder: Path) -> list[Path]:
    """Return the modules and packages in `folder` that the code at `path` imports by their names."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    names = [name for file in files for name in _list_imports(file)]
    if folder.resolve() == _CHECKOUT.resolve():
        names = [name for name in names if name not in PACKAGES]
    siblings = []
    for name in dict.fromkeys(names):
        if (folder / f"{name}.py").is_file():
            siblings.append(folder / f"{name}.py")
        elif (folder / name / "__init__.py").is_file():
            siblings.append(folder / name)
    return siblings


def _list_imports(file: Path) -> list[str]:
    """Return the top-level names that a file imports, in their order; none where it cannot be read."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return [name.partition(".")[0] for name in names]
