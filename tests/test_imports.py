"""The arrows between the folders, and which folder may import which library."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from stacks import ROOT

PACKAGES = ("streamlearn", "producer", "flink_jobs", "serving", "benchmarks")
ONLY_IN = {
    "flask": ("serving/", "benchmarks/serving.py"),
    "confluent_kafka": ("streamlearn/broker/bulk.py",),
    "kafka": ("streamlearn/broker/", "serving/api/feedback.py", "benchmarks/"),
    "pyflink": ("flink_jobs/", "benchmarks/peers/flink_program.py"),
    "river": ("streamlearn/estimators/river_model.py", "benchmarks/"),
    "redis": ("streamlearn/storage/redis_client.py",),
    "skops": tuple(f"streamlearn/storage/{name}.py" for name in ("snapshot", "archive", "direct_archive")),
    "pickle": (),
    "cloudpickle": (),
}


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


def test_imports_go_down_the_layers_only() -> None:
    """In a process of its own: the command writes to the output that it found when it was imported."""
    command = Path(sys.executable).parent / "lint-imports"
    process = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_package_may(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    for library in imported(path) & set(ONLY_IN):
        assert name.startswith(ONLY_IN[library] or "nowhere"), f"{library} belongs in {ONLY_IN[library]}"


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


@pytest.mark.parametrize("package", list(PACKAGES))
def test_each_folder_lists_its_modules_and_folders(package: str) -> None:
    for path in [ROOT / package / "__init__.py", *(ROOT / package).rglob("*/__init__.py")]:
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        words = set(re.findall(r"[\w/]+(?:\.py)?", text))
        modules = {module.name for module in path.parent.glob("*.py")} - {"__init__.py"}
        folders = {inner.parent.name for inner in path.parent.glob("*/__init__.py")}
        missing = (modules - words) | {name for name in folders if not {name, f"{name}/"} & words}
        assert not missing, f"{path} does not list {sorted(missing)}"
        listed = set(re.findall(r"^\w+\.py", text, re.MULTILINE))
        assert listed <= modules, f"{path} lists {sorted(listed - modules)}, which it does not have"


@pytest.mark.parametrize("package", list(PACKAGES))
def test_no_folder_has_too_many_modules(package: str) -> None:
    for folder in {path.parent for path in (ROOT / package).rglob("*.py")}:
        assert len(list(folder.glob("*.py"))) < 15, folder
