#!/usr/bin/env python3
"""Run docker-compose.yml and kill its parts: the part of `scripts/compose-test` that needs an engine.

Everything runs under a project name and on ports of its own, and is removed at the end, volumes included; the
images stay, so that the next run is quick.
"""

import argparse
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "streamlearn-compose-test"
WAIT_S = 420.0
MIN_LEARNED = 60
"""Records that must be learned before something counts as working again."""

START = time.monotonic()


def report(text: str) -> None:
    """Print a line with the seconds since the start."""
    print(f"{time.monotonic() - START:6.0f} s  {text}", flush=True)


def free_port() -> int:
    """Return a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Compose:
    """The project under test: its commands, its server and its Flink."""

    def __init__(self) -> None:
        self.command = shlex.split(os.environ.get("COMPOSE", "docker compose"))
        names = ("HTTP_PORT", "FLINK_PORT", "KAFKA_PORT", "REDIS_PORT")
        self.ports = {name: free_port() for name in names}
        ports = {name: str(port) for name, port in self.ports.items()}
        self.environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": PROJECT,
            "COMPOSE_PROFILES": "warehouse",
            **ports,
        }
        self.pipelines = ["digits", *(["pm25"] if os.environ.get("STREAMLEARN_PM25_CSV") else [])]

    def run(self, *arguments: str, show: bool = False) -> str:
        """Run a command of Compose and return its output; a failure ends the test."""
        process = subprocess.run(
            [*self.command, *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        if process.returncode:
            output = process.stdout[-3000:] + process.stderr[-3000:]
            raise SystemExit(f"{shlex.join(process.args)} failed:\n{output}")
        if show:
            print(process.stdout, flush=True)
        return process.stdout

    def fetch(self, port: str, path: str, body: Any = None) -> Any:
        """Return the JSON at a path of the server or of Flink."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://localhost:{self.ports[port]}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=5) as response:
            return json.load(response)

    def fetch_version(self, pipeline: str) -> int:
        """Return how many offsets the served model has learned, over all partitions; 0 if there is none."""
        parameters = self.fetch("HTTP_PORT", f"/v2/models/{pipeline}")["parameters"]
        parts = str(parameters["version"]).split(".") if parameters else []
        return sum(int(part) for part in parts if part != "-")

    def fetch_versions(self) -> dict[str, int]:
        """Return the served version of every pipeline."""
        return {pipeline: self.fetch_version(pipeline) for pipeline in self.pipelines}

    def count_task_managers(self) -> int:
        """Return how many TaskManagers the JobManager knows."""
        return len(self.fetch("FLINK_PORT", "/taskmanagers")["taskmanagers"])

    def are_jobs_running(self) -> bool:
        """Return whether Flink runs a job for every pipeline."""
        return self.list_running() >= {f"{pipeline}: learn" for pipeline in self.pipelines}

    def are_sql_jobs_running(self) -> bool:
        """Return whether Flink runs the built-in SQL jobs."""
        return self.list_running() >= {"digits: warehouse", "pm25: warehouse"}

    def list_running(self) -> set[str]:
        """Return the names of the jobs that run."""
        jobs = self.fetch("FLINK_PORT", "/jobs/overview")["jobs"]
        return {job["name"] for job in jobs if job["state"] == "RUNNING"}

    def inspect(self, service: str, template: str) -> str:
        """Return what `docker inspect` prints by a Go template about a service's first container."""
        container = self.run("ps", "--all", "--quiet", service).split()[0]
        return subprocess.check_output(
            ["docker", "inspect", "--format", template, container], text=True
        ).strip()

    def kill(self, service: str) -> None:
        """`kill -9` a service, like a crash; after `docker kill` the engine would not restart it."""
        os.kill(int(self.inspect(service, "{{.State.Pid}}")), signal.SIGKILL)

    def is_restarted(self, service: str) -> bool:
        """Return whether the engine has restarted a service once, and it is healthy."""
        return self.inspect(service, "{{.RestartCount}} {{.State.Health.Status}}") == "1 healthy"

    def wait(self, description: str, condition: Callable[[], bool]) -> None:
        """Wait until a condition is true; while a service does not answer, it is false."""
        start = time.monotonic()
        while time.monotonic() - start < WAIT_S:
            try:
                if condition():
                    report(f"✓ {description}")
                    return
            except (OSError, ValueError):
                pass
            time.sleep(1)
        print(self.run("ps", "--all"), self.run("logs", "--tail", "30"), sep="\n")
        raise SystemExit(f"waited {WAIT_S:.0f} s in vain: {description}")

    def wait_for_learning(self, description: str, start: dict[str, int] | None = None) -> None:
        """Wait until every pipeline's job runs and has learned more: than `start`, or than now."""
        self.wait(f"{description}: the jobs run", self.are_jobs_running)
        start = start or self.fetch_versions()
        self.wait(
            f"{description}: they learn on from {start}",
            lambda: all(self.fetch_version(name) >= start[name] + MIN_LEARNED for name in start),
        )


def check_prediction(compose: Compose) -> None:
    """Request a prediction from the server, as a client would."""
    tensor = {"name": "x", "shape": [1, 64], "datatype": "FP64", "data": [0.0] * 64}
    answer = compose.fetch("HTTP_PORT", "/v2/models/digits/infer", {"inputs": [tensor]})
    report(f"✓ a prediction over HTTP: {answer['outputs'][0]['data']}, of version {answer['model_version']}")


def check_users(compose: Compose) -> None:
    """Make sure that no container runs as root."""
    for container in compose.run("ps", "--all", "--quiet").split():
        inspect = ["docker", "inspect", "--format", "{{.Name}} {{.Config.User}}", container]
        name, _, user = subprocess.check_output(inspect, text=True).strip().partition(" ")
        if user in ("", "0", "root"):
            raise SystemExit(f"{name} runs as root")
    report("✓ no container runs as root")


def verify(compose: Compose) -> None:
    """Run `streamlearn verify` for every pipeline, in the submitter's container."""
    for pipeline in compose.pipelines:
        compose.run("exec", "-T", "submitter", "streamlearn", "verify", pipeline, show=True)
        report(f"✓ verify {pipeline}")


def accept(compose: Compose) -> None:
    """Compare what the SQL job of the digits has said with its SQL in batch mode."""
    compose.wait("the SQL jobs run", compose.are_sql_jobs_running)

    def has_said() -> bool:
        topics = json.loads(compose.run("exec", "-T", "warehouse", "streamlearn", "topics", "list", "--json"))
        states = {entry["topic"]["name"]: entry["state"] for entry in topics}
        return bool((states["digits.summary.confusion"] or {}).get("records"))

    compose.wait("the SQL job of the digits has said something", has_said)
    compose.run("exec", "-T", "warehouse", "streamlearn", "accept", "digits", show=True)
    report("✓ accept digits")


def test(compose: Compose) -> None:
    """Start, kill parts, add a TaskManager, stop and start again; verify in between."""
    compose.run("config", "--quiet")
    compose.run("build")
    report("✓ the images are built")
    compose.run("up", "--detach")
    report("✓ docker compose up --detach")
    compose.wait("the server answers", lambda: compose.fetch_versions() is not None)
    compose.wait_for_learning("it is up")
    check_prediction(compose)
    check_users(compose)
    for service in ("taskmanager", "jobmanager", "redis"):
        compose.kill(service)
        compose.wait(f"{service} was killed and is back", partial(compose.is_restarted, service))
        compose.wait_for_learning(f"{service} was killed")
    verify(compose)
    accept(compose)
    compose.run("up", "--detach", "--scale", "taskmanager=2")
    compose.wait("two TaskManagers", lambda: compose.count_task_managers() == 2)
    before = compose.fetch_versions()
    compose.run("down")
    compose.run("up", "--detach")
    compose.wait("the server answers", lambda: compose.fetch_versions() is not None)
    compose.wait_for_learning("down and up", before)
    verify(compose)


def test_scaled(compose: Compose) -> None:
    """Start anew with eight partitions on three TaskManagers, kill one, verify."""
    compose.run("down", "--volumes")
    compose.environment |= {"STREAMLEARN_PARTITIONS": "8", "STREAMLEARN_PARALLELISM": "4"}
    compose.run("up", "--detach", "--scale", "taskmanager=3")
    compose.wait("three TaskManagers", lambda: compose.count_task_managers() == 3)
    compose.wait("the server answers", lambda: compose.fetch_versions() is not None)
    compose.wait_for_learning("eight partitions")
    compose.kill("taskmanager")
    compose.wait_for_learning("one of three TaskManagers was killed")
    compose.wait("three TaskManagers", lambda: compose.count_task_managers() >= 3)

    def is_made_of_all() -> bool:
        version = compose.fetch("HTTP_PORT", "/v2/models/digits")["parameters"]["version"]
        parts = str(version).split(".")
        return len(parts) == 8 and "-" not in parts

    # The producer fills one partition after the other.
    compose.wait("the served model is made of eight partitions", is_made_of_all)
    verify(compose)


def main() -> None:
    """Read the command line, test, and clean up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave everything running, for you to look at")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    compose = Compose()
    compose.run("down", "--volumes", "--remove-orphans")
    try:
        test(compose)
        test_scaled(compose)
        report("every check has passed")
    finally:
        if arguments.keep:
            report(f"it keeps running, as project {PROJECT}, on the ports {compose.ports}")
        else:
            compose.run("down", "--volumes", "--remove-orphans")
            report("containers and volumes are removed")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
