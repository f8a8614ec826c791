"""The files that the server's processes share, begun anew at every start."""

import shutil
from pathlib import Path

from streamlearn.settings import Settings


def recent(settings: Settings) -> Path:
    """The file of recent predictions."""
    return settings.home.absolute() / "run" / f"recent-{settings.http_port}.sqlite"


def metrics(settings: Settings) -> Path:
    """The folder in which counts are added up."""
    return settings.home.absolute() / "run" / f"metrics-{settings.http_port}"


def begin(settings: Settings) -> None:
    """Remove what an earlier server has left."""
    shutil.rmtree(metrics(settings), ignore_errors=True)
    metrics(settings).mkdir(parents=True)
    for file in recent(settings).parent.glob(recent(settings).name + "*"):
        file.unlink()
