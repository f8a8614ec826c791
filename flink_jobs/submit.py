"""Submitting a pipeline's job: which lineage it continues, from which checkpoint, and the `flink run`.

A job goes on from the newest checkpoint or savepoint of its lineage. If there is none although the lineage
has answered records, the submission is refused, unless `rebuild` is given: then the job begins after the
last committed answer, with the model learned again from Kafka where Redis lacks it.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from flink_jobs import workers
from flink_jobs.checkpoints import find_newest_checkpoint, locate_for_workers, stop_at_savepoint
from flink_jobs.java import command_lines, distribution
from flink_jobs.plan import PLAN_VARIABLE
from flink_jobs.tables import build_plan
from streamlearn.broker.broker import Broker
from streamlearn.broker.register import LineageRegister
from streamlearn.broker.topics import ensure_topics
from streamlearn.errors import FlinkUnavailable, JobError, LineageError
from streamlearn.operations import flink_api
from streamlearn.operations.flink_api import Job, job_name
from streamlearn.operations.lock import lock_submission
from streamlearn.pipelines.base import Pipeline
from streamlearn.pipelines.registry import load_all
from streamlearn.pipelines.user_code import find_user_code
from streamlearn.settings import Settings, inherit_env
from streamlearn.stream.lineage import Lineage

_LEARN = Path(__file__).parent / "learn.py"
_TIMEOUT_S = 180.0
_POLL_S = 0.5
_SLOT_S = 5.0
"""Seconds after which a job that does not run is asked whether it waits for a task slot."""
_PYTHON_ERROR = re.compile(r"(?!Caused by)[\w.]*(Error|Exception)\b: ")


def submit(
    settings: Settings,
    pipeline: Pipeline,
    *,
    fresh: bool = False,
    rebuild: bool = False,
    accept_edits: bool = False,
    parallelism: int | None = None,
    wait_s: float = 0,
    echo: Callable[[str], None] = print,
) -> None:
    """Start the pipeline's job where its lineage stands; do nothing if it runs already.

    One that runs is stopped at a savepoint, and goes on, where its topic has more partitions than before, or
    where it has another parallelism than the one wanted.

    Parameters
    ----------
    fresh
        End the open lineage, and begin a new one.
    rebuild
        Go on without a checkpoint, after the last committed answer.
    accept_edits
        Go on although code that decides predictions has been edited.
    parallelism
        How many workers share the partitions, also whenever the lineage's job is submitted again; 0: as the
        settings say; None: as was wanted the last time, and a job that runs is left alone.
    wait_s
        Wait so many seconds until the job learns or, where there is nothing to learn, until it runs.

    Raises
    ------
    JobError
        Flink does not answer, refuses the job, or restarts it while it is waited for.
    LineageError
        The lineage cannot be continued.
    """
    check_configured(settings)
    with lock_submission(settings, pipeline) as lock, Broker(settings) as broker:
        register = LineageRegister(broker, pipeline)
        running = flink_api.newest_job(settings, job_name(pipeline.name))
        if running and running.live:
            if fresh:
                raise JobError("a new lineage cannot be opened while the job runs; cancel it first")
            change = _describe_change(settings, register, pipeline, running, parallelism)
            if not change:
                echo(f"{running.name} is already {running.state.lower()} as job {running.id}")
                return
            register.check_can_continue(accept_edits=accept_edits)
            if not rebuild:
                _check_resumable(settings, register, pipeline)
            echo(f"{running.name} {change}: it is stopped at a savepoint, and goes on")
            stop_at_savepoint(settings, running)
        partitions = ensure_topics(broker, pipeline)
        if not fresh and not rebuild:
            _check_resumable(settings, register, pipeline)
        wanted = parallelism
        if parallelism is None and not fresh:
            wanted = register.wanted_parallelism()
        worker_count = _choose_parallelism(settings, pipeline, partitions, wanted)
        lineage = register.claim(fresh=fresh, accept_edits=accept_edits, parallelism=parallelism)
        # A checkpoint from before knows nothing of partitions that have come since, and the job of a topic
        # of one partition has other operators.
        since = register.epoch_of_newest_partition(lineage)
        checkpoint = None if rebuild else find_newest_checkpoint(lineage, settings, since)
        before = [register.first_unanswered(lineage, partition) for partition in lineage.partitions]
        # With a checkpoint Flink itself knows where to go on.
        starts = list(lineage.starts) if checkpoint else before
        echo(
            f"lineage {lineage.id}, submission {lineage.epoch}: "
            + (f"going on from {checkpoint.name}" if checkpoint else _describe_starts(starts))
            + (f"; {len(starts)} partitions, parallelism {worker_count}" if len(starts) > 1 else "")
        )
        _call_flink_run(settings, pipeline, lineage, starts, worker_count, checkpoint, lock, echo)
        echo(f"{job_name(pipeline.name)} submitted")
    if wait_s:
        echo(_wait_for_first_answers(settings, pipeline, lineage, before, wait_s, echo))


def _describe_change(
    settings: Settings, register: LineageRegister, pipeline: Pipeline, job: Job, parallelism: int | None
) -> str:
    """Return why a job that runs must be submitted anew, in words; empty if it need not."""
    if added := register.count_new_partitions():
        return f"has not learned from {added} new partitions of {pipeline.topic} yet"
    lineage = register.current()
    if lineage is None or parallelism is None:
        return ""
    if parallelism == 0:
        return (
            "has been given a parallelism, and goes back to that of the settings"
            if lineage.parallelism
            else ""
        )
    has, wanted = flink_api.count_workers(settings, job), min(parallelism, len(lineage.partitions))
    return f"has parallelism {has}, but {wanted} is wanted" if has not in {0, wanted} else ""


def _choose_parallelism(settings: Settings, pipeline: Pipeline, partitions: int, wanted: int | None) -> int:
    """Return how many workers share a topic's partitions: as many as are wanted, or as there is room for.

    Raises
    ------
    FlinkUnavailable
        That depends on the free task slots, and Flink has none yet.
    """
    if wanted := wanted or settings.parallelism or (1 if partitions == 1 else 0):
        return min(partitions, wanted)
    live = flink_api.list_live_names(settings)
    others = [p for p in load_all(settings) if p.name != pipeline.name and job_name(p.name) not in live]
    free = flink_api.count_free_slots(settings)
    if not free:
        raise FlinkUnavailable(
            flink_api.describe_taken_slots(settings, job_name(pipeline.name))
            or f"Flink at {settings.flink} has had no free task slot; try again"
        )
    return min(partitions, max(1, free - len(others)))


def _describe_starts(starts: Sequence[int]) -> str:
    """Return where a job starts, in words.

    >>> _describe_starts([5]), _describe_starts([5, 0])
    ('starting at offset 5', 'starting at the offsets 5, 0')
    """
    if len(starts) == 1:
        return f"starting at offset {starts[0]}"
    return f"starting at the offsets {', '.join(map(str, starts))}"


def check_configured(settings: Settings) -> None:
    """Raise `JobError` where Flink's scripts would not find their configuration."""
    if not (distribution.configuration_folder(settings) / "config.yaml").exists():
        raise JobError(
            f"no stack was set up in {settings.home.absolute()}: there is no Flink configuration. Call this"
            " from the folder in which you have called `streamlearn up`, or set STREAMLEARN_HOME to its"
            " .streamlearn"
        )


def _wait_for_first_answers(
    settings: Settings,
    pipeline: Pipeline,
    lineage: Lineage,
    starts: Sequence[int],
    wait_s: float,
    echo: Callable[[str], None],
) -> str:
    """Wait until everything is answered, or more records than may fail in a row; see `_wait_until_begun`."""
    with Broker(settings) as broker:
        register = LineageRegister(broker, pipeline)
        ends = [
            min(broker.stable_end(pipeline.topic, partition), start + settings.set_aside_in_a_row + 1)
            for partition, start in enumerate(starts)
        ]
        has_answered = partial(register.is_answered, lineage, ends)
        return _wait_until_begun(settings, pipeline, has_answered, wait_s, echo)


def _wait_until_begun(
    settings: Settings,
    pipeline: Pipeline,
    has_answered: Callable[[], bool],
    wait_s: float,
    echo: Callable[[str], None],
) -> str:
    """Wait until all of the job runs and, as `has_answered` tells, learns; return that in words.

    Say so at once where it waits for a task slot.

    Raises
    ------
    JobError
        Python code fails in it, or it does not run in time.
    """
    name, start = job_name(pipeline.name), time.monotonic()
    deadline, shortage = start + wait_s, ""
    while True:
        job = flink_api.newest_job(settings, name)
        trouble = flink_api.find_trouble(settings, job) if job else None
        is_late = time.monotonic() >= deadline
        if job and trouble and (trouble.is_python or is_late or not job.live):
            state = "is tried again and again" if job.live else "has failed"
            page = flink_api.exceptions_page(settings, job)
            raise JobError(f"{name} {state}: {trouble.reason}; all of it: {page}")
        runs = job is not None and flink_api.runs_whole(settings, job)
        if runs and has_answered():
            return f"{name} runs"
        if is_late and runs:
            return f"{name} runs, but has not answered anything within {wait_s:.0f} s: `streamlearn status`"
        # Flink deploys to a free slot within a second.
        if job and not runs and time.monotonic() >= start + _SLOT_S:
            before, shortage = shortage, flink_api.describe_slot_shortage(settings, job)
            if shortage and not before and not is_late:
                echo(shortage)
        if is_late:
            raise JobError(
                f"{name} does not run yet after {wait_s:.0f} s; {shortage or f'see {settings.flink}'}"
            )
        time.sleep(_POLL_S)


def _check_resumable(settings: Settings, register: LineageRegister, pipeline: Pipeline) -> None:
    """Raise `LineageError` if the open lineage has committed answers, but no checkpoint to go on from."""
    lineage = register.current()
    if lineage is None or lineage.ended or find_newest_checkpoint(lineage, settings):
        # One from before partitions were added is not used; it tells that the folder is not lost.
        return
    for partition, first in enumerate(lineage.starts):
        start = register.first_unanswered(lineage, partition)
        if start == first:
            continue
        where = f" of partition {partition}" if len(lineage.partitions) > 1 else ""
        raise LineageError(
            f"lineage {lineage.id} has answered the records{where} up to offset {start - 1}, but no"
            f" checkpoint of it is left in {settings.checkpoints};"
            f" `streamlearn train {pipeline.name} --rebuild` goes on after the last committed answer,"
            " --fresh begins a new lineage"
        )


def _call_flink_run(
    settings: Settings,
    pipeline: Pipeline,
    lineage: Lineage,
    starts: Sequence[int],
    parallelism: int,
    checkpoint: Path | None,
    lock_fd: int,
    echo: Callable[[str], None],
) -> None:
    options = ["--fromSavepoint", locate_for_workers(checkpoint, settings).as_uri()] if checkpoint else []
    if files := find_user_code(pipeline):
        options += ["--pyFiles", ",".join(map(str, files))]
    plan = msgspec.json.encode(build_plan(pipeline, lineage, starts, parallelism, settings)).decode()
    # If this program is killed, the lock is held until Flink's client has ended as well.
    run_program(
        settings, _LEARN, options=options, variables={PLAN_VARIABLE: plan}, pass_fds=[lock_fd], echo=echo
    )


def run_program(
    settings: Settings,
    program: Path,
    arguments: Sequence[str] = (),
    *,
    options: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    echo: Callable[[str], None] = print,
) -> None:
    """Let `flink run` execute a Python program that submits a job; return once Flink has accepted that.

    Parameters
    ----------
    arguments
        Those of the program.
    options
        More options of `flink run`.
    variables
        More variables of the program's environment.
    pass_fds
        File descriptors that Flink's client keeps open.

    Raises
    ------
    JobError
        Flink refuses the job, or does not answer in time.
    """
    command = [*command_lines.build_client(settings), "run", "--detached"]
    command += ["--jobmanager", settings.flink.split("://")[-1], *options]
    for jar in distribution.resolve_jars("flink", settings, echo):
        command += ["--jarfile", str(jar)]
    command += ["--pyClientExecutable", sys.executable, *workers.build_client_options(settings)]
    command += ["--python", str(program), *arguments]
    environment = {**settings.environment(), **command_lines.build_environment(settings), **(variables or {})}
    try:
        process = subprocess.run(
            command,
            env=inherit_env(environment),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            pass_fds=pass_fds,
        )
    except subprocess.TimeoutExpired as error:
        raise JobError(f"`flink run` did not end within {_TIMEOUT_S:.0f} s") from error
    if process.returncode or "JobID" not in process.stdout:
        raise JobError(f"Flink refused the job: {_extract_reason(process.stderr + process.stdout)}")


def _extract_reason(output: str) -> str:
    """Return why `flink run` failed.

    That is the last line of a Python traceback, else the two innermost causes of a Java one, else the end of
    the output.
    """
    lines = [line for line in output.splitlines() if line.strip()]
    python = [line for line in lines if _PYTHON_ERROR.match(line) and "org.apache.flink" not in line]
    java = [line.strip() for line in lines if line.startswith("Caused by:") and "Python process" not in line]
    return "; ".join(python[-1:] or java[-2:]) or output.strip()[-800:]
