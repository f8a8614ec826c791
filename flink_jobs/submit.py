"""Submitting a pipeline's job: which lineage it continues, from which checkpoint, and the `flink run`.

A job goes on from the newest checkpoint or savepoint of its lineage. If there is none although the lineage
has answered records, the submission is refused, unless `rebuild` is given: then the job begins behind the
last committed answer, with the model learned again from Kafka where Redis lacks it.
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
from flink_jobs.checkpoints import find_newest_checkpoint
from flink_jobs.lock import lock_submission
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.broker.topics import ensure_topics
from streamlearn.errors import JobError, LineageError
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import job_name
from streamlearn.pipelines.base import Pipeline
from streamlearn.settings import Settings, inherit_env
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
    echo: Callable[[str], None] = print,
) -> None:
    """Start the pipeline's job where its lineage stands; do nothing if it runs already.

    Parameters
    ----------
    fresh
        End the open lineage, and begin a new one.
    rebuild
        Go on without a checkpoint, behind the last committed answer.
    accept_edits
        Go on although code that decides predictions has been edited.

    Raises
    ------
    JobError
        Flink does not answer, or refuses the job.
    LineageError
        The lineage cannot be continued.
    """
    with lock_submission(settings, pipeline) as lock, Broker(settings) as broker:
        running = flink_api.newest_job(settings, job_name(pipeline.name))
        if running and running.live:
            echo(f"{running.name} is already {running.state.lower()} as job {running.id}")
            if fresh:
                raise JobError("a new lineage cannot be opened while the job runs; cancel it first")
            return
        ensure_topics(broker, pipeline)
        register = LineageRegister(broker, pipeline)
        if not fresh and not rebuild:
            _check_resumable(settings, register, pipeline)
        lineage = register.claim(fresh=fresh, accept_edits=accept_edits)
        checkpoint = None if rebuild else find_newest_checkpoint(lineage, settings)
        # With a checkpoint Flink itself knows where to go on.
        start = lineage.start if checkpoint else register.resume_at(lineage)
        echo(
            f"lineage {lineage.id}, submission {lineage.epoch}: "
            + (f"going on from {checkpoint.name}" if checkpoint else f"starting at offset {start}")
        )
        _call_flink_run(settings, pipeline, lineage, start, checkpoint, lock, echo)
        echo(f"{job_name(pipeline.name)} submitted")


def find_user_code(pipeline: Pipeline) -> list[Path]:
    """Return the module or package of a pipeline of your own, which Flink must send to its workers.

    Nothing is returned for what workers can import anyway: installed packages, and this project's own.
    """
    module = pipeline.reference.partition(":")[0].partition(".")[0]
    # This package is wherever the job's own code is.
    is_own = ":" in pipeline.reference and module != streamlearn.__name__
    spec = importlib.util.find_spec(module) if is_own else None
    if spec is None or spec.origin is None or "site-packages" in spec.origin:
        return []
    origin = Path(spec.origin)
    return [origin.parent if origin.name == "__init__.py" else origin]


def _check_resumable(settings: Settings, register: LineageRegister, pipeline: Pipeline) -> None:
    """Raise `LineageError` if the open lineage has committed answers, but no checkpoint to go on from."""
    lineage = register.current()
    if lineage is None or lineage.ended or find_newest_checkpoint(lineage, settings):
        return
    start = register.resume_at(lineage)
    if start > lineage.start:
        raise LineageError(
            f"lineage {lineage.id} has answered the records up to offset {start - 1}, but no checkpoint of it"
            f" is left in {settings.checkpoints}; `streamlearn train {pipeline.name} --rebuild` goes on"
            " behind them, --fresh begins a new lineage"
        )


def _call_flink_run(
    settings: Settings,
    pipeline: Pipeline,
    lineage: Lineage,
    start: int,
    checkpoint: Path | None,
    lock: int,
    echo: Callable[[str], None],
) -> None:
    home = distribution.find_flink_home()
    command = [str(home / "bin" / "flink"), "run", "--detached"]
    command += ["--jobmanager", settings.flink.split("://")[-1]]
    command += ["--fromSavepoint", checkpoint.as_uri()] if checkpoint else []
    for jar in distribution.resolve_jars("flink", settings, echo):
        command += ["--jarfile", str(jar)]
    if files := find_user_code(pipeline):
        command += ["--pyFiles", ",".join(map(str, files))]
    command += ["--pyClientExecutable", sys.executable, "--pyExecutable", sys.executable]
    command += ["--python", str(_LEARN), "--lineage", msgspec.json.encode(lineage).decode()]
    command += ["--start", str(start)]
    try:
        process = subprocess.run(
            command,
            env=inherit_env({**settings.environment(), **flink_environment(settings)}),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            # If this program is killed, the lock is held until Flink's client has ended as well.
            pass_fds=[lock],
        )
    except subprocess.TimeoutExpired as error:
        raise JobError(f"`flink run` has not ended within {_TIMEOUT_S:.0f} s") from error
    if process.returncode or "JobID" not in process.stdout:
        raise JobError(f"Flink refused the job: {_extract_reason(process.stderr + process.stdout)}")


def flink_environment(settings: Settings) -> dict[str, str]:
    """Return the variables with which Flink's scripts find Java, their configuration and their logs."""
    folder = settings.home.absolute() / "flink"
    return {
        "JAVA_HOME": str(distribution.find_java_home()),
        "FLINK_HOME": str(distribution.find_flink_home()),
        "FLINK_CONF_DIR": str(folder / "conf"),
        "FLINK_LOG_DIR": str(folder / "log"),
        "FLINK_PID_DIR": str(folder / "pid"),
    }


def _extract_reason(output: str) -> str:
    """Return why `flink run` failed.

    That is the last line of a Python traceback, else the two innermost causes of a Java one, else the end of
    the output.
    """
    lines = [line for line in output.splitlines() if line.strip()]
    python = [line for line in lines if _PYTHON_ERROR.match(line) and "org.apache.flink" not in line]
    java = [line.strip() for line in lines if line.startswith("Caused by:") and "Python process" not in line]
    return "; ".join(python[-1:] or java[-2:]) or output.strip()[-800:]
