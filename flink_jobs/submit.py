"""Submitting a pipeline's job: which lineage it continues, from which checkpoint, and the `flink run`.

A job goes on from the newest checkpoint or savepoint of its lineage: the one of the highest epoch, and in
that the one written last. Without one, a lineage that has answered records is not gone on with, unless told
to rebuild: then it begins behind the last committed answer, with the model learned again from Kafka where
Redis lacks it.
"""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

import streamlearn
from flink_jobs import distribution
from flink_jobs.lock import submitting
from flink_jobs.names import checkpoint_root, savepoints
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.broker.topics import ensure_topics
from streamlearn.errors import JobError, LineageError
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import job_name
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings, inherited
from streamlearn.stream.lineage import Lineage

_LEARN = Path(__file__).parent / "learn.py"
_TIMEOUT_S = 180.0
_PYTHON_ERROR = re.compile(r"(?!Caused by)[\w.]*(Error|Exception)\b: ")


def submit(
    settings: Settings,
    pipeline: Pipeline,
    *,
    fresh: bool = False,
    rebuild: bool = False,
    accept_edits: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Start the pipeline's job where its lineage stands; do nothing if it runs already.

    Raises
    ------
    JobError
        Flink does not answer, or refuses the job.
    LineageError
        The lineage cannot be continued.
    """
    with submitting(settings, pipeline) as lock, Broker(settings) as broker:
        running = flink_api.newest_job(settings, job_name(pipeline.name))
        if running and running.live:
            say(f"{running.name} is already {running.state.lower()} as job {running.id}")
            if fresh:
                raise JobError("a new lineage cannot be opened while the job runs; cancel it first")
            return
        ensure_topics(broker, pipeline)
        register = LineageRegister(broker, pipeline)
        if not fresh and not rebuild:
            _check_can_go_on(settings, register, pipeline)
        lineage = register.claim(fresh=fresh, accept_edits=accept_edits)
        checkpoint = (
            None if rebuild else newest_checkpoint(checkpoint_root(lineage, settings), savepoints(settings))
        )
        # With a checkpoint Flink itself knows where to go on.
        start = lineage.start if checkpoint else register.resume_at(lineage)
        say(
            f"lineage {lineage.id}, submission {lineage.epoch}: "
            + (f"going on from {checkpoint.name}" if checkpoint else f"starting at offset {start}")
        )
        _flink_run(settings, pipeline, lineage, start, checkpoint, lock, say)
        say(f"{job_name(pipeline.name)} submitted")


def newest_checkpoint(root: Path, saved: Path) -> Path | None:
    """Return the folder of the newest checkpoint or savepoint, or None if there is neither.

    Checkpoints are below `root/<epoch>/<job>/`; savepoints of such a job are in `saved`.
    """
    epochs = sorted((int(path.name) for path in root.glob("[0-9]*")), reverse=True)
    for epoch in epochs:
        found = list((root / str(epoch)).rglob("_metadata"))
        for job in (root / str(epoch)).iterdir():
            found += saved.glob(f"savepoint-{job.name[:6]}-*/_metadata")
        if found:
            return max(found, key=lambda path: path.stat().st_mtime_ns).parent
    return None


def own_files(pipeline: Pipeline) -> list[Path]:
    """Return the module or package that must be sent along, since no worker has it installed."""
    module = pipeline.reference.partition(":")[0].partition(".")[0]
    # This package is wherever the job's own code is.
    own = ":" in pipeline.reference and module != streamlearn.__name__
    found = importlib.util.find_spec(module) if own else None
    if found is None or found.origin is None or "site-packages" in found.origin:
        return []
    origin = Path(found.origin)
    return [origin.parent if origin.name == "__init__.py" else origin]


def _check_can_go_on(settings: Settings, register: LineageRegister, pipeline: Pipeline) -> None:
    """Refuse to begin a lineage over whose predictions have been committed."""
    lineage = register.current()
    if (
        lineage is None
        or lineage.ended
        or newest_checkpoint(checkpoint_root(lineage, settings), savepoints(settings))
    ):
        return
    start = register.resume_at(lineage)
    if start > lineage.start:
        raise LineageError(
            f"lineage {lineage.id} has answered the records up to offset {start - 1}, but no checkpoint of it"
            f" is left in {settings.checkpoints}; `streamlearn train {pipeline.name} --rebuild` goes on"
            " behind them, --fresh begins a new lineage"
        )


def _flink_run(
    settings: Settings,
    pipeline: Pipeline,
    lineage: Lineage,
    start: int,
    checkpoint: Path | None,
    lock: int,
    say: Callable[[str], None],
) -> None:
    home = distribution.flink_home()
    command = [str(home / "bin" / "flink"), "run", "--detached"]
    command += ["--jobmanager", settings.flink.split("://")[-1]]
    command += ["--fromSavepoint", checkpoint.as_uri()] if checkpoint else []
    for jar in distribution.jars("flink", settings, say):
        command += ["--jarfile", str(jar)]
    if files := own_files(pipeline):
        command += ["--pyFiles", ",".join(map(str, files))]
    command += ["--pyClientExecutable", sys.executable, "--pyExecutable", sys.executable]
    command += ["--python", str(_LEARN), "--lineage", msgspec.json.encode(lineage).decode()]
    command += ["--start", str(start)]
    try:
        done = subprocess.run(
            command,
            env=inherited({**settings.environment(), **environment(settings)}),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            # If this program is killed, its turn lasts until Flink's client has come to an end as well.
            pass_fds=[lock],
        )
    except subprocess.TimeoutExpired as error:
        raise JobError(f"`flink run` has not ended within {_TIMEOUT_S:.0f} s") from error
    if done.returncode or "JobID" not in done.stdout:
        raise JobError(f"Flink refused the job: {_reason(done.stderr + done.stdout)}")


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables with which Flink's scripts find Java, their configuration and their logs."""
    folder = settings.home.absolute() / "flink"
    return {
        "JAVA_HOME": str(distribution.java_home()),
        "FLINK_HOME": str(distribution.flink_home()),
        "FLINK_CONF_DIR": str(folder / "conf"),
        "FLINK_LOG_DIR": str(folder / "log"),
        "FLINK_PID_DIR": str(folder / "pid"),
    }


def _reason(output: str) -> str:
    """Return what a Python traceback ends with, else the innermost causes in a Java one, else the end."""
    lines = [line for line in output.splitlines() if line.strip()]
    python = [line for line in lines if _PYTHON_ERROR.match(line) and "org.apache.flink" not in line]
    java = [line.strip() for line in lines if line.startswith("Caused by:") and "Python process" not in line]
    return "; ".join(python[-1:] or java[-2:]) or output.strip()[-800:]
