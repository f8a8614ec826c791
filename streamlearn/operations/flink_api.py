"""The calls of Flink's REST interface that are needed to submit, watch and show a job."""

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from streamlearn.errors import FlinkUnavailable, JobError
from streamlearn.settings import Settings

_TIMEOUT_S = 5.0
_STOP_S = 60.0
_POLL_S = 0.3
_RECENT_S = 60.0
"""An exception of a running job is reported for so long."""

ENDED = frozenset({"FAILED", "CANCELED", "FINISHED"})
"""The states that a job does not leave by itself."""
_WAITING = frozenset({"CREATED", "SCHEDULED"})
"""The states of a task that has no slot."""


@dataclass(frozen=True)
class Job:
    """A job as the JobManager knows it."""

    id: str
    name: str
    state: str
    started_ms: int
    """Milliseconds since 1970."""

    @property
    def live(self) -> bool:
        """Whether the job runs, or will run again by itself."""
        return self.state not in ENDED

    @property
    def ended_by_hand(self) -> bool:
        """Whether a person has cancelled or stopped it."""
        return not self.live and self.state != "FAILED"


@dataclass(frozen=True)
class Trouble:
    """Why a job is restarted, or has failed."""

    reason: str
    """In one line; of a Python error, the last line of its traceback."""
    lasts: bool
    """False where the job runs again, and has failed only once in the last minute."""
    is_python: bool = False
    """Whether Python code has raised it, and not a part of Flink that ended or was away."""


def job_name(pipeline: str) -> str:
    """Return the name of a pipeline's job in Flink.

    >>> job_name("digits")
    'digits: learn'
    """
    return f"{pipeline}: learn"


def call(settings: Settings, path: str, *, method: str = "GET", body: Any = None) -> Any:
    """Call Flink's REST interface and return its JSON, an empty dictionary where it returns none.

    Raises
    ------
    FlinkUnavailable
        Flink does not answer, or answers with an error.
    """
    request = urllib.request.Request(  # noqa: S310 (the address is the operator's own setting)
        settings.flink.rstrip("/") + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            text = response.read()
            return json.loads(text) if text else {}
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise FlinkUnavailable(f"Flink at {settings.flink} does not answer {path}: {error}") from error


def newest_job(settings: Settings, name: str) -> Job | None:
    """Return the newest job of that name, a live one if there is any; None if the JobManager knows none."""
    return max(_jobs(settings, name), key=lambda job: (job.live, job.started_ms), default=None)


def live_jobs(settings: Settings, name: str) -> list[Job]:
    """Return the live jobs of that name, the newest first."""
    return sorted((job for job in _jobs(settings, name) if job.live), key=lambda job: -job.started_ms)


def find_last_checkpoint(settings: Settings, name: str) -> int | None:
    """Return the number of the newest checkpoint that the live job of a name has completed.

    None where no such job runs, where it has completed none, or while Flink does not answer.
    """
    try:
        job = newest_job(settings, name)
        if job is None or not job.live:
            return None
        completed = call(settings, f"/jobs/{job.id}/checkpoints")["latest"]["completed"]
    except FlinkUnavailable:
        return None
    return int(completed["id"]) if completed else None


def find_trouble(settings: Settings, job: Job) -> Trouble | None:
    """Return the exception because of which a job is restarted or has failed; None if there is none.

    Of a job that runs again, only an exception of the last minute counts.
    """
    if job.ended_by_hand:
        return None
    history = call(settings, f"/jobs/{job.id}/exceptions?maxExceptions=2").get("exceptionHistory", {})
    entries = history.get("entries", [])
    recent = [time.time() - entry.get("timestamp", 0) / 1000 < _RECENT_S for entry in entries]
    if not entries or (job.state == "RUNNING" and not recent[0]):
        return None
    trace = str(entries[0].get("stacktrace", "")).strip()
    first_line = (trace or entries[0].get("exceptionName", "unknown")).splitlines()[0]
    python_error = _find_python_error(trace)
    lasts = job.state != "RUNNING" or (len(recent) > 1 and all(recent))
    return Trouble(python_error or first_line, lasts, python_error is not None)


def _find_python_error(trace: str) -> str | None:
    r"""Return the last line of the last Python traceback in a stack trace; None where there is none.

    >>> trace = "java.X: Traceback (most recent call last):\n  File 1\nValueError: no\n\tat java.Y"
    >>> _find_python_error(trace)
    'ValueError: no'
    """
    _, marker, rest = trace.rpartition("Traceback (most recent call last):")
    lines = (line for line in rest.splitlines() if line.strip() and not line[0].isspace())
    return next(lines, "").strip() or None if marker else None


def exceptions_page(settings: Settings, job: Job) -> str:
    """Return the address of Flink's page of a job's exceptions."""
    return f"{settings.flink}/#/job/{'running' if job.live else 'completed'}/{job.id}/exceptions"


def runs_whole(settings: Settings, job: Job) -> bool:
    """Return whether every task of a job runs; a job is called running as soon as it waits for slots."""
    vertices = call(settings, f"/jobs/{job.id}").get("vertices", [])
    return bool(vertices) and all(vertex["status"] == "RUNNING" for vertex in vertices)


def count_free_slots(settings: Settings) -> int:
    """Return how many task slots no job has."""
    return int(call(settings, "/overview")["slots-available"])


def describe_slot_shortage(settings: Settings, job: Job) -> str:
    """Return in words that a job waits for a task slot, and what to do; empty where it does not."""
    vertices = call(settings, f"/jobs/{job.id}").get("vertices", [])
    if not vertices or any(vertex["status"] not in _WAITING for vertex in vertices):
        return ""
    return describe_taken_slots(settings, job.name)


def describe_taken_slots(settings: Settings, name: str) -> str:
    """Return in words that there is no task slot for the job of a name; empty where there is."""
    overview = call(settings, "/overview")
    if overview["slots-available"]:
        return ""
    total, others = overview["slots-total"], sorted(list_live_names(settings) - {name})
    if not total:
        return f"{name} waits for a TaskManager: `streamlearn status` tells whether there is one"
    return (
        f"{name} waits for a free task slot: all {total} are taken ({', '.join(others)})."
        " `streamlearn reset NAME` frees those of a pipeline; to have more, stop the stack and start it with"
        f" STREAMLEARN_FLINK_SLOTS={total + 2} scripts/up"
    )


def list_live_names(settings: Settings) -> set[str]:
    """Return the names of all jobs that are live."""
    return {job["name"] for job in call(settings, "/jobs/overview")["jobs"] if job["state"] not in ENDED}


def cancel(settings: Settings, job: Job) -> None:
    """Ask Flink to cancel a job."""
    call(settings, f"/jobs/{job.id}", method="PATCH", body={})


def stop(settings: Settings, job: Job, folder: str) -> None:
    """End a job at a savepoint, with all of its answers committed; cancel it where that cannot be.

    `folder` is the URI, as Flink sees it, below which the savepoint is written.

    Raises
    ------
    JobError
        It has not ended within some minutes.
    """
    try:
        call(
            settings, f"/jobs/{job.id}/stop", method="POST", body={"drain": False, "targetDirectory": folder}
        )
        is_stopping = True
    except FlinkUnavailable:
        is_stopping = False
    deadline = time.monotonic() + _STOP_S
    while (state := call(settings, f"/jobs/{job.id}")["state"]) not in ENDED:
        late = time.monotonic() >= deadline
        if late and not is_stopping:
            raise JobError(f"{job.name} does not end: it is {state.lower()}")
        if late or (is_stopping and state != "RUNNING"):
            # A job that restarts takes no savepoint; it goes on from its last checkpoint.
            is_stopping = False
            cancel(settings, job)
            deadline = time.monotonic() + _STOP_S
        time.sleep(_POLL_S)


def count_workers(settings: Settings, job: Job) -> int:
    """Return how many workers share a job's partitions."""
    vertices = call(settings, f"/jobs/{job.id}").get("vertices", [])
    return max((int(vertex["parallelism"]) for vertex in vertices), default=0)


def _jobs(settings: Settings, name: str) -> list[Job]:
    return [
        Job(job["jid"], job["name"], job["state"], job["start-time"])
        for job in call(settings, "/jobs/overview")["jobs"]
        if job["name"] == name
    ]
