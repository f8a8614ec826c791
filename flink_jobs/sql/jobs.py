"""A SQL file as a job: submitted from where it stood, stopped, and kept in mind by the stack.

The tables are those of the catalogue. A file whose text has changed is another job: it begins at the oldest
records, and its results overwrite those before, key by key. So does one whose checkpoints are lost.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from flink_jobs import workers
from flink_jobs.checkpoints import find_newest_in, locate_for_workers, stop_at_savepoint
from flink_jobs.sql.client import format_script, run_script
from flink_jobs.sql.tables import build_stream_tables
from flink_jobs.submit import check_configured
from flink_jobs.tables import build_fault_options
from streamlearn.broker.broker import Broker
from streamlearn.broker.topics import ensure_topic
from streamlearn.errors import ConfigurationError, FileError, JobError
from streamlearn.operations import flink_api
from streamlearn.operations.lock import lock_name
from streamlearn.settings import Settings
from streamlearn.warehouse.catalogue import kept_folder, read_layer
from streamlearn.warehouse.rules.changes import load_live_catalogue

FOLDER = Path(__file__).parent
_CHECKPOINT_MS = 10_000
"""Results can be read after each."""
_JOB_ID = re.compile(r"^Job ID: ([0-9a-f]{32})$", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9_-]+")


class SqlJob(msgspec.Struct, frozen=True):
    """A SQL file that runs as a job."""

    name: str
    text: str

    @property
    def job_name(self) -> str:
        """What Flink calls the job, and the catalogue the owner of its topics."""
        return f"{self.name}: warehouse"

    @property
    def digest(self) -> str:
        """The beginning of the SHA-256 of its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


def list_built_in() -> list[str]:
    """Return the names of the built-in files."""
    return sorted(path.stem for path in FOLDER.glob("*.sql"))


def read_job(reference: str) -> tuple[SqlJob, str]:
    """Return the job of a file, or of a built-in one by its name; and its part of the catalogue.

    That is the text of the `.toml` beside the file: the topics that it writes. Empty where there is none.

    Raises
    ------
    ConfigurationError
        There is no such file, or its name cannot be a job's.
    FileError
        It cannot be read.
    """
    path = FOLDER / f"{reference}.sql" if reference in list_built_in() else Path(reference)
    if not path.is_file():
        raise ConfigurationError(
            f"there is no file {reference}; by their names there are: {', '.join(list_built_in())}"
        )
    if not _NAME.fullmatch(path.stem):
        raise ConfigurationError(
            f"{path.name}: the job is called by the name of its file, which may have letters, digits, - and _"
        )
    try:
        text = path.read_text()
        catalogue = path.with_suffix(".toml")
        if not catalogue.exists():
            return SqlJob(path.stem, text), ""
        read_layer(catalogue)
        return SqlJob(path.stem, text), catalogue.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} cannot be read: {error}") from error


def keep(settings: Settings, job: SqlJob) -> None:
    """Tell the stack of a job that is to be kept running."""
    _write(settings, f"{job.name}.sql", job.text)


def _write(settings: Settings, name: str, text: str) -> None:
    """Write a file whole into the folder of what is kept."""
    folder = kept_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{name}.new"
    new.write_text(text)
    new.replace(folder / name)


def keep_built_in(settings: Settings) -> None:
    """Tell the stack of every built-in job."""
    for name in list_built_in():
        keep(settings, read_job(name)[0])


def forget(settings: Settings, name: str) -> None:
    """Take a job back; its topics stay in the catalogue."""
    (kept_folder(settings) / f"{name}.sql").unlink(missing_ok=True)


def list_kept(settings: Settings) -> dict[str, SqlJob]:
    """Return the jobs that are to be kept running, by name."""
    return dict(_read_kept(settings))


def _read_kept(settings: Settings) -> Iterator[tuple[str, SqlJob]]:
    for path in sorted(kept_folder(settings).glob("*.sql")):
        with suppress(OSError, UnicodeDecodeError):
            yield path.stem, SqlJob(path.stem, path.read_text())


def run_sql(
    settings: Settings, job: SqlJob, catalogue: str = "", *, echo: Callable[[str], None] = print
) -> None:
    """Submit a job, then have the stack keep it running; what is refused is not kept.

    `catalogue` is the text of the file of the topics that it writes. Raises as `submit_sql` does.
    """
    if catalogue:
        _write(settings, f"{job.name}.toml", catalogue)
    submit_sql(settings, job, echo=echo)
    keep(settings, job)


def submit_sql(settings: Settings, job: SqlJob, *, echo: Callable[[str], None] = print) -> None:
    """Start a file's job where it stood; do nothing if it runs.

    Where a job runs that has the name but another text, it is cancelled first.

    Raises
    ------
    JobError
        Flink refuses it, or it is more than one job.
    """
    check_configured(settings)
    with lock_name(settings, f"warehouse-{job.name}"):
        running = flink_api.newest_job(settings, job.job_name)
        folder = _checkpoint_folder(settings, job)
        if running and running.live:
            if (folder / running.id).exists():
                echo(f"{job.job_name} is already {running.state.lower()} as job {running.id}")
                return
            echo(f"{job.job_name} runs with another text: it is cancelled")
            stop_at_savepoint(settings, running)
        with Broker(settings) as broker:
            topics = load_live_catalogue(broker)
            for topic in topics:
                if topic.owner == job.job_name:
                    ensure_topic(broker, topic.name, topic.partitions or 1, topic.options)
        checkpoint = find_newest_in(folder, settings)
        echo(
            f"{job.job_name}: "
            + (f"going on from {checkpoint.name}" if checkpoint else "from the oldest record")
        )
        tables = build_stream_tables(topics, workers.load_settings(settings), job.name)
        lines = run_script(
            settings, format_script(_build_options(settings, job, checkpoint), [*tables, job.text]), echo=echo
        )
        ids = _JOB_ID.findall("\n".join(lines))
        if len(ids) != 1:
            for number in ids:
                flink_api.cancel(settings, flink_api.Job(number, job.job_name, "RUNNING", 0))
            raise JobError(
                f"{job.name}.sql makes {len(ids)} jobs: put its INSERTs into one"
                " EXECUTE STATEMENT SET BEGIN … END"
            )
        # By this the job is known again: Flink itself makes its folder at the first checkpoint only.
        (folder / ids[0]).mkdir(parents=True, exist_ok=True)
        echo(f"{job.job_name} submitted")


def stop_sql(settings: Settings, name: str, echo: Callable[[str], None] = print) -> None:
    """End a file's job at a savepoint, from which it goes on; keep it running no more.

    Raises
    ------
    ConfigurationError
        No such job runs, and none is kept.
    """
    job = SqlJob(name, "")
    kept = name in list_kept(settings)
    forget(settings, name)
    with lock_name(settings, f"warehouse-{name}"):
        running = flink_api.newest_job(settings, job.job_name)
        if running and running.live:
            stop_at_savepoint(settings, running)
        elif not kept:
            raise ConfigurationError(f"{job.job_name} does not run")
    echo(f"{job.job_name} has ended")


def _build_options(settings: Settings, job: SqlJob, checkpoint: Path | None) -> dict[str, str]:
    """Return Flink's options for the job; the folders in it are where Flink sees them."""
    folder = locate_for_workers(_checkpoint_folder(settings, job), settings)
    start = locate_for_workers(checkpoint, settings).as_uri() if checkpoint else ""
    return {
        "execution.target": "remote",
        "rest.address": settings.flink_host,
        "rest.port": str(settings.flink_port),
        "pipeline.name": job.job_name,
        "parallelism.default": "1",
        "table.local-time-zone": "UTC",
        # One worker writes everything in order: of a key, the row that comes last is the newest.
        "table.exec.sink.require-on-conflict": "false",
        "table.exec.sink.upsert-materialize": "NONE",
        **build_fault_options(workers.load_settings(settings), folder, _CHECKPOINT_MS),
        **({"execution.state-recovery.path": start} if start else {}),
    }


def _checkpoint_folder(settings: Settings, job: SqlJob) -> Path:
    """Return the folder of a text's checkpoints: in it is a folder for each of its jobs in Flink."""
    return settings.checkpoints / "warehouse" / job.name / job.digest
