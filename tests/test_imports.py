"""The arrows between the packages: who may import whom."""

import ast
from pathlib import Path

import pytest
from conftest import ROOT

PACKAGES = ("streamlearn", "topics", "producer", "flink_jobs", "serving", "reports", "stack")
ALLOWED = {
    "streamlearn": set(),
    "topics": {"streamlearn"},
    "producer": {"streamlearn", "topics"},
    "flink_jobs": {"streamlearn", "topics"},
    "serving": {"streamlearn", "topics"},
    "reports": {"streamlearn", "topics"},
    "stack": {"streamlearn", "topics", "flink_jobs"},
}
LIBRARIES = {"kafka", "pyflink", "flask", "redis", "skops"}
ONLY_IN = {"redis": {"streamlearn/redis_client.py"}, "skops": {"streamlearn/checkpoint.py"}}


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_package_may(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    package, found = name.split("/")[0], imported(path)
    assert found & set(PACKAGES) <= ALLOWED[package] | {package}
    if package == "streamlearn":
        assert not found & {"kafka", "pyflink", "flask"}
    for library, places in ONLY_IN.items():
        assert library not in found or name in places, f"{library} belongs in {places}"
    assert "pickle" not in found
    assert "cloudpickle" not in found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_settings_read_the_environment(path: Path) -> None:
    if path == ROOT / "streamlearn" / "settings.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (
            isinstance(node, ast.Attribute)
            and node.attr in {"environ", "getenv"}
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
        ), path
