"""A fingerprint of code: it changes when what the code does may have changed, and not when it is moved.

It is made from the source as Python parses it, so comments, docstrings, blank lines and quotes do not matter;
nor does the module that the code stands in, or its own name. It reaches as far as the author's own code does:
functions, classes and constants of the same package that the code refers to are part of it; of a library's,
only their names are. Numbers count to twelve digits, so that another processor's last bit is no edit.
"""

import ast
import functools
import hashlib
import inspect
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_DIGITS = 12
_LENGTH = 16


def fingerprint(subject: Any) -> str:
    """Return the fingerprint of a function or class.

    >>> def double(x):
    ...     return 2 * x
    >>> def twice(x):
    ...     '''The same.'''
    ...     return 2 * x
    >>> fingerprint(double) == fingerprint(twice), fingerprint(double) == fingerprint(lambda x: 3 * x)
    (True, False)
    """
    text = "\n".join(_Collector(subject).describe(subject))
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def stable_name(subject: Any) -> str:
    """Return the package and the name of a class or function: it survives a move within its package.

    >>> from sklearn.linear_model import SGDClassifier
    >>> stable_name(SGDClassifier)
    'sklearn.SGDClassifier'
    """
    name = getattr(subject, "__qualname__", type(subject).__qualname__)
    return f"{_package(subject)}.{name.rpartition('.')[2]}"


def _package(subject: Any) -> str:
    return str(getattr(subject, "__module__", None) or "").partition(".")[0]


class _Collector:
    """Describes a subject and all of its author's code that it refers to, each once."""

    def __init__(self, subject: Any) -> None:
        self._package = _package(subject)
        self._folder = _folder(self._package)
        self._described: set[int] = set()

    def describe(self, value: Any) -> Iterator[str]:
        """Yield lines that are equal for equal values, in the order in which they are referred to."""
        if isinstance(value, functools.partial):
            yield from self.describe(value.func)
            yield from self._describe_value([value.args, value.keywords])
        elif isinstance(value, types.MethodType):
            yield from self.describe(value.__func__)
        elif isinstance(value, types.FunctionType | type):
            yield from self._describe_code(value) if self._is_own(value) else [stable_name(value)]
        elif isinstance(value, types.ModuleType):
            yield value.__name__.partition(".")[0]
        elif callable(value) and hasattr(value, "__wrapped__"):
            yield from self.describe(inspect.unwrap(value))
        else:
            yield from self._describe_value(value)

    def _describe_code(self, code: Any) -> Iterator[str]:
        if id(code) in self._described:
            return
        self._described.add(id(code))
        node = _parse(code)
        if node is None:
            yield from _describe_bytecode(code)
            return
        yield _write(node)
        scope = _scope(code)
        for name, attribute in sorted(_references(node)):
            if name not in scope:
                continue
            value = scope[name]
            if isinstance(value, types.ModuleType) and attribute and self._is_own_module(value):
                value = getattr(value, attribute, None)
            yield name
            yield from self.describe(value)

    def _describe_value(self, value: Any) -> Iterator[str]:
        if isinstance(value, float | np.floating):
            yield f"{value:.{_DIGITS}g}"
        elif isinstance(value, np.ndarray):
            yield f"{value.dtype.kind} {value.shape}"
            yield from (text for item in value.ravel().tolist() for text in self._describe_value(item))
        elif isinstance(value, Mapping):
            for key, item in value.items():
                yield repr(key)
                yield from self.describe(item)
        elif isinstance(value, set | frozenset):
            yield from sorted(map(repr, value))
        elif isinstance(value, list | tuple):
            yield f"{len(value)} items"
            for item in value:
                yield from self.describe(item)
        elif self._is_own(type(value)) and hasattr(value, "__dict__"):
            if id(value) not in self._described:
                self._described.add(id(value))
                yield from self._describe_code(type(value))
                yield from self._describe_value(vars(value))
        else:
            text = repr(value)
            # What is told apart by its address only has nothing to be told apart by in another process.
            yield stable_name(type(value)) if " at 0x" in text else text

    def _is_own(self, code: Any) -> bool:
        return _package(code) == self._package or self._is_own_module(sys.modules.get(code.__module__))

    def _is_own_module(self, module: types.ModuleType | None) -> bool:
        """Whether a module is of the subject's package, or a file beside it."""
        if module is None:
            return False
        package = module.__name__.partition(".")[0]
        return package == self._package or (self._folder is not None and _folder(package) == self._folder)


def _folder(package: str) -> Path | None:
    """Return the folder of a package that is not installed; None for libraries."""
    file = getattr(sys.modules.get(package), "__file__", None)
    if file is None or "site-packages" in file or file.startswith(sys.base_prefix):
        return None
    path = Path(file)
    return path.parent.parent if path.name == "__init__.py" else path.parent


def _parse(code: Any) -> ast.AST | None:
    """Return the syntax of a function or class; None where its source is not at hand."""
    try:
        if isinstance(code, type):
            return ast.parse(textwrap.dedent(inspect.getsource(code))).body[0]
        lines, _ = inspect.findsource(code)
        tree = ast.parse("".join(lines))
    except (OSError, TypeError, SyntaxError):
        return None
    first = code.__code__.co_firstlineno
    candidates = [node for node in ast.walk(tree) if first in _first_lines(node)]
    if len(candidates) > 1:
        candidates = [node for node in candidates if _holds(node, code.__code__)]
    # Of lambdas within one another, the innermost.
    return min(candidates, key=lambda node: node.end_col_offset - node.col_offset, default=None)  # type: ignore[attr-defined]


def _first_lines(node: ast.AST) -> set[int]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.lineno, *(decorator.lineno for decorator in node.decorator_list)}
    return {node.lineno} if isinstance(node, ast.Lambda) else set()


def _holds(node: ast.AST, code: types.CodeType) -> bool:
    """Whether the instructions of a code object stand within a node."""
    if not isinstance(node, ast.Lambda):
        return code.co_name == getattr(node, "name", "")
    begin, end = (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)
    places = [
        (line, column)
        for line, _, column, _ in code.co_positions()
        if line is not None and column is not None and (line, column) > (code.co_firstlineno, 0)
    ]
    return bool(places) and all(begin <= place <= end for place in places)


def _write(node: ast.AST) -> str:
    """Write syntax without docstrings and without the name of what it defines, alike in every Python."""
    # Positions do not matter; neither do fields that are empty, which differ from Python to Python.
    skipped = {"ctx", "kind", "type_comment", "type_params"}

    def write(value: Any) -> str:
        if isinstance(value, list):
            return f"[{', '.join(map(write, value))}]"
        if not isinstance(value, ast.AST):
            return repr(value)
        fields = {name: field for name, field in ast.iter_fields(value) if field not in (None, [])}
        if isinstance(value, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if ast.get_docstring(value, clean=False) is not None:
                fields["body"] = value.body[1:]
            if value is node:
                del fields["name"]
        parts = (f"{name}={write(field)}" for name, field in fields.items() if name not in skipped)
        return f"{type(value).__name__}({', '.join(parts)})"

    return write(node)


def _references(node: ast.AST) -> set[tuple[str, str]]:
    """Return the names that are read, each with the attribute that is asked of it, or an empty text."""
    attributes = {
        id(inner.value): (inner.value.id, inner.attr)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name)
    }
    names = {
        (inner.id, "")
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name) and id(inner) not in attributes
    }
    return names | set(attributes.values())


def _scope(code: Any) -> dict[str, Any]:
    """Return what names mean where code stands."""
    if isinstance(code, type):
        return vars(sys.modules[code.__module__]) if code.__module__ in sys.modules else {}
    cells = zip(code.__code__.co_freevars, code.__closure__ or (), strict=True)
    # A cell is empty where a function is described before what it refers to has been defined.
    closure = {name: cell.cell_contents for name, cell in cells if cell != types.CellType()}
    return {**code.__globals__, **closure}


def _describe_bytecode(code: Any) -> Iterator[str]:
    """Describe a function whose source is not at hand, such as one that was typed in."""
    if isinstance(code, type):
        yield stable_name(code)
        return
    pending = [code.__code__]
    while pending:
        compiled = pending.pop()
        yield compiled.co_code.hex()
        yield repr(compiled.co_names)
        pending += [constant for constant in compiled.co_consts if isinstance(constant, types.CodeType)]
        yield repr([constant for constant in compiled.co_consts if not isinstance(constant, types.CodeType)])
