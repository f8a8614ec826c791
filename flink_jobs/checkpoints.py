"""Where the checkpoints and savepoints of a job are, which is the newest, and a stop that writes one."""

from pathlib import Path

from flink_jobs import workers
from streamlearn.operations import flink_api
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


def locate_for_workers(path: Path, settings: Settings) -> Path:
    """Return where Flink sees a path below the folder of checkpoints: it may have that folder elsewhere."""
    return workers.load_settings(settings).checkpoints / path.relative_to(settings.checkpoints)


def stop_at_savepoint(settings: Settings, job: flink_api.Job) -> None:
    """End a job at a savepoint in the folder where the next one looks for it.

    Raises
    ------
    JobError
        It has not ended within some minutes.
    """
    flink_api.stop(settings, job, savepoint_folder(workers.load_settings(settings)).as_uri())
