"""Where the checkpoints and savepoints of a pipeline's job are, and which is the newest."""

from pathlib import Path

from streamlearn.settings import Settings
from streamlearn.stream.lineage import Lineage


def checkpoint_folder(lineage: Lineage, settings: Settings) -> Path:
    """Return the folder of a lineage's checkpoints: one folder an epoch, and in that one a job."""
    return settings.checkpoints / lineage.pipeline / lineage.id


def savepoint_folder(settings: Settings) -> Path:
    """Return the folder of all savepoints; a savepoint's name begins with that of its job."""
    return settings.checkpoints / "savepoints"


def find_newest_checkpoint(lineage: Lineage, settings: Settings, since: int = 0) -> Path | None:
    """Return the folder of a lineage's newest checkpoint or savepoint, or None if there is neither.

    The newest is the one written last in the highest epoch that has any, of those from `since` on.
    """
    root = checkpoint_folder(lineage, settings)
    epochs = (int(path.name) for path in root.glob("[0-9]*"))
    for epoch in sorted((epoch for epoch in epochs if epoch >= since), reverse=True):
        if newest := find_newest_in(root / str(epoch), settings):
            return newest
    return None


def find_newest_in(folder: Path, settings: Settings) -> Path | None:
    """Return the checkpoint or savepoint written last by the jobs that have a folder in this one."""
    metadata = list(folder.rglob("_metadata"))
    for job in folder.iterdir() if folder.is_dir() else ():
        metadata += savepoint_folder(settings).glob(f"savepoint-{job.name[:6]}-*/_metadata")
    return max(metadata, key=lambda path: path.stat().st_mtime_ns).parent if metadata else None
