"""The files that the server's processes share; an earlier server's are removed at every start."""

import shutil
from pathlib import Path

from streamlearn.settings import Settings


def recent_path(settings: Settings) -> Path:
    """Return the path of the file of recent predictions."""
    return settings.home.absolute() / "run" / f"recent-{settings.http_port}.sqlite"


def metrics_dir(settings: Settings) -> Path:
    """Return the folder in which the processes add up their counts."""
    return settings.home.absolute() / "run" / f"metrics-{settings.http_port}"


def clear(settings: Settings) -> None:
    """Remove what an earlier server has left."""
    shutil.rmtree(metrics_dir(settings), ignore_errors=True)
    metrics_dir(settings).mkdir(parents=True)
    path = recent_path(settings)
    for file in path.parent.glob(path.name + "*"):
        file.unlink()
