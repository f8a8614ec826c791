"""Where the checkpoints of a pipeline's job are."""

from pathlib import Path

from streamlearn.settings import Settings
from streamlearn.stream.lineage import Lineage


def checkpoint_root(lineage: Lineage, settings: Settings) -> Path:
    """Return the folder of all the checkpoints of a lineage, a folder an epoch, in that a folder a job."""
    return settings.checkpoints / lineage.pipeline / lineage.id


def savepoints(settings: Settings) -> Path:
    """Return the folder of all savepoints; a savepoint's name begins with that of its job."""
    return settings.checkpoints / "savepoints"
