"""The names by which pipelines are called, told without loading one: that takes a second.

What they stand for is found by `streamlearn/pipelines/registry.py`.
"""

import re
from importlib.metadata import entry_points
from pathlib import Path

from streamlearn.settings import Settings

GROUP = "streamlearn.pipelines"
"""The group of entry points by which pipelines are registered."""

ONLY_BY_NAME = ("digits_sgd", "pm25_gru", "stations")
"""Built-in pipelines that a stack runs only where they are named."""

_DEFINES_PIPELINE = re.compile(r"^pipeline\b.*=", re.MULTILINE)


def registered_names() -> list[str]:
    """Return the names of the registered pipelines, sorted."""
    return sorted(entry_points(group=GROUP).names)


def list_named(settings: Settings) -> list[str]:
    """Return the references that the settings name."""
    return [reference.strip() for reference in settings.pipelines.split(",") if reference.strip()]


def suggest_names(settings: Settings, folder: Path) -> list[str]:
    """Return what may stand for a pipeline in a command that is called in a folder.

    These are the registered ones, the built-in ones, those that the settings name, and the modules in
    the folder that define an object `pipeline`.
    """
    modules = (
        file.stem
        for file in sorted(folder.glob("*.py"))
        if file.stem.isidentifier()
        and _DEFINES_PIPELINE.search(file.read_text(encoding="utf-8", errors="replace"))
    )
    return list(dict.fromkeys([*registered_names(), *ONLY_BY_NAME, *list_named(settings), *modules]))
