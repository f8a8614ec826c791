"""What a pipeline's job is called in Flink, and where its checkpoints are."""

from pathlib import Path

from streamlearn.lineage import Lineage
from streamlearn.settings import Settings


def job_name(pipeline: str) -> str:
    """Return the job's name in Flink.

    >>> job_name("digits")
    'digits: learn'
    """
    return f"{pipeline}: learn"


def checkpoint_root(lineage: Lineage, settings: Settings) -> Path:
    """Return the folder of all the checkpoints of a lineage, a folder an epoch, in that a folder a job."""
    return settings.checkpoints / lineage.pipeline / lineage.id


def savepoints(settings: Settings) -> Path:
    """Return the folder of all savepoints; a savepoint's name begins with that of its job."""
    return settings.checkpoints / "savepoints"
