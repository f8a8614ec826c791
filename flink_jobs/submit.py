"""Submitting a pipeline's job: which lineage it continues, from which checkpoint, and the `flink run`.

A job goes on from the newest checkpoint or savepoint of its lineage: the one of the highest epoch, and in
that the one written last. Without one, a lineage whose predictions have been committed is not started over,
since every prediction would be written again.
"""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from flink_jobs import distribution, flink_api
from flink_jobs.lock import submitting
from flink_jobs.names import checkpoint_root, job_name
from streamlearn.errors import JobError, LineageError
from streamlearn.lineage import Lineage
from streamlearn.pipeline import Pipeline
from streamlearn.settings import Settings, inherited
from topics import layout, lineages, records

_LEARN = Path(__file__).parent / "learn.py"
_TIMEOUT_S = 180.0
_PYTHON_ERROR = re.compile(r"(?!Caused by)[\w.]*(Error|Exception)\b: ")


def submit(
    settings: Settings,
    pipeline: Pipeline,
    *,
    fresh: bool = False,
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
    with submitting(settings, pipeline):
        running = flink_api.newest_job(settings, job_name(pipeline.name))
        if running and running.live:
            say(f"{running.name} is already {running.state.lower()} as job {running.id}")
            if fresh:
                raise JobError("a new lineage cannot be opened while the job runs; cancel it first")
            return
        layout.ensure(settings, pipeline)
        if not fresh:
            _check_can_go_on(settings, pipeline)
        lineage = lineages.claim(settings, pipeline, fresh=fresh)
        checkpoint = newest_checkpoint(checkpoint_root(lineage, settings))
        say(
            f"lineage {lineage.id}, submission {lineage.epoch}: "
            + (f"going on from {checkpoint.name}" if checkpoint else f"starting at offset {lineage.start}")
        )
        _flink_run(settings, pipeline, lineage, checkpoint, say)
        say(f"{job_name(pipeline.name)} submitted")


def newest_checkpoint(root: Path) -> Path | None:
    """Return the folder of the newest checkpoint or savepoint below `root/<epoch>/`, or None."""
    epochs = sorted((int(path.name) for path in root.glob("[0-9]*")), reverse=True)
    for epoch in epochs:
        found = list((root / str(epoch)).rglob("_metadata"))
        if found:
            return max(found, key=lambda path: path.stat().st_mtime_ns).parent
    return None


def own_files(pipeline: Pipeline) -> list[Path]:
    """Return the module or package that must be sent along, since no worker has it installed."""
    module = pipeline.reference.partition(":")[0].partition(".")[0]
    found = importlib.util.find_spec(module) if ":" in pipeline.reference else None
    if found is None or found.origin is None or "site-packages" in found.origin:
        return []
    origin = Path(found.origin)
    return [origin.parent if origin.name == "__init__.py" else origin]


def _check_can_go_on(settings: Settings, pipeline: Pipeline) -> None:
    """Refuse to begin a lineage over whose predictions have been committed."""
    lineage = lineages.current(settings, pipeline)
    if lineage is None or lineage.ended or newest_checkpoint(checkpoint_root(lineage, settings)):
        return
    committed = records.committed_offset(settings, lineages.group_id(pipeline), pipeline.topic)
    if committed is not None and committed > lineage.start:
        raise LineageError(
            f"lineage {lineage.id} has predictions up to offset {committed}, but no checkpoint of it is left"
            f" in {settings.checkpoints}; `streamlearn train {pipeline.name} --fresh` begins a new lineage"
        )


def _flink_run(
    settings: Settings,
    pipeline: Pipeline,
    lineage: Lineage,
    checkpoint: Path | None,
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
    try:
        done = subprocess.run(
            command,
            env=inherited({**settings.environment(), **environment(settings)}),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
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
