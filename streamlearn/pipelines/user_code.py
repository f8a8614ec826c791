"""Which files a pipeline of one's own consists of: what Flink must send to its workers."""

import ast
import importlib.util
from pathlib import Path

import streamlearn
from streamlearn.pipelines.base import Pipeline


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
    found = [first]
    for path in found:
        found += [sibling for sibling in _list_siblings(path, first.parent) if sibling not in found]
    return found


def _list_siblings(path: Path, folder: Path) -> list[Path]:
    """Return the modules and packages in `folder` that the code at `path` imports by their names."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    names = [name for file in files for name in _list_imports(file)]
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
