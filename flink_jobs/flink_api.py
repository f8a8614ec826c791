"""The few calls to Flink's REST interface that submitting and watching a job need."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from streamlearn.errors import FlinkAway
from streamlearn.settings import Settings

_TIMEOUT_S = 5.0

ENDED = frozenset({"FAILED", "CANCELED", "FINISHED"})


@dataclass(frozen=True)
class Job:
    """A job as the JobManager knows it."""

    id: str
    name: str
    state: str
    started_ms: int

    @property
    def live(self) -> bool:
        """Whether the job runs, or will again without a hand."""
        return self.state not in ENDED


def call(settings: Settings, path: str, *, method: str = "GET", body: Any = None) -> Any:
    """Call Flink's REST interface and return its JSON.

    Raises
    ------
    FlinkAway
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
        raise FlinkAway(f"Flink at {settings.flink} does not answer {path}: {error}") from error


def newest_job(settings: Settings, name: str) -> Job | None:
    """Return the job of that name that was started last, or None if the JobManager knows none."""
    jobs = [
        Job(job["jid"], job["name"], job["state"], job["start-time"])
        for job in call(settings, "/jobs/overview")["jobs"]
        if job["name"] == name
    ]
    return max(jobs, key=lambda job: (job.live, job.started_ms), default=None)


def cancel(settings: Settings, job: Job) -> None:
    """Ask Flink to cancel a job."""
    call(settings, f"/jobs/{job.id}", method="PATCH", body={})
