#!/usr/bin/env python3
"""Run docker-compose.yml and break it: the part of `scripts/compose-test` that comes once there is an engine.

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
MORE = 60
"""So many records must be learned before something counts as working again."""

BEGAN = time.monotonic()


def say(text: str) -> None:
    """Print a line with the seconds since the start."""
    print(f"{time.monotonic() - BEGAN:6.0f} s  {text}", flush=True)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Compose:
    """The project under test: its commands, and what its server and Flink tell."""

    def __init__(self) -> None:
        self.command = shlex.split(os.environ.get("COMPOSE", "docker compose"))
        names = ("HTTP_PORT", "FLINK_PORT", "KAFKA_PORT", "REDIS_PORT")
        self.ports = {name: free_port() for name in names}
        ports = {name: str(port) for name, port in self.ports.items()}
        self.environment = {**os.environ, "COMPOSE_PROJECT_NAME": PROJECT, **ports}
        self.pipelines = ["digits", *(["pm25"] if os.environ.get("STREAMLEARN_PM25_CSV") else [])]

    def run(self, *arguments: str, show: bool = False) -> str:
        """Run a command of Compose and return what it printed; its failure ends the test."""
        done = subprocess.run(
            [*self.command, *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{shlex.join(done.args)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        if show:
            print(done.stdout, flush=True)
        return done.stdout

    def fetch(self, port: str, path: str, body: Any = None) -> Any:
        """Return the JSON at a path of the server or of Flink."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://localhost:{self.ports[port]}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=5) as response:
            return json.load(response)

    def version(self, pipeline: str) -> int:
        """Return the version of the model that is served, 0 if there is none."""
        parameters = self.fetch("HTTP_PORT", f"/v2/models/{pipeline}")["parameters"]
        return int(parameters["version"]) if parameters else 0

    def versions(self) -> dict[str, int]:
        """Return the served version of every pipeline."""
        return {pipeline: self.version(pipeline) for pipeline in self.pipelines}

    def task_managers(self) -> int:
        """Return how many TaskManagers the JobManager knows."""
        return len(self.fetch("FLINK_PORT", "/taskmanagers")["taskmanagers"])

    def jobs_run(self) -> bool:
        """Whether Flink runs a job for every pipeline."""
        jobs = self.fetch("FLINK_PORT", "/jobs/overview")["jobs"]
        running = {job["name"] for job in jobs if job["state"] == "RUNNING"}
        return running >= {f"{pipeline}: learn" for pipeline in self.pipelines}

    def inspect(self, service: str, what: str) -> str:
        """Return what the engine knows of a service's first container, as a Go template asks for it."""
        container = self.run("ps", "--all", "--quiet", service).split()[0]
        return subprocess.check_output(["docker", "inspect", "--format", what, container], text=True).strip()

    def kill(self, service: str) -> None:
        """`kill -9` a service, as a crash would; the engine takes `docker kill` for a stop by hand."""
        os.kill(int(self.inspect(service, "{{.State.Pid}}")), signal.SIGKILL)

    def restarted(self, service: str) -> bool:
        """Whether the engine has started a service anew, and it is well."""
        return self.inspect(service, "{{.RestartCount}} {{.State.Health.Status}}") == "1 healthy"

    def wait(self, what: str, done: Callable[[], bool]) -> None:
        """Wait until something is so; what does not answer yet is not so yet."""
        start = time.monotonic()
        while time.monotonic() - start < WAIT_S:
            try:
                if done():
                    say(f"✓ {what}")
                    return
            except (OSError, ValueError):
                pass
            time.sleep(1)
        print(self.run("ps", "--all"), self.run("logs", "--tail", "30"), sep="\n")
        raise SystemExit(f"waited {WAIT_S:.0f} s in vain: {what}")

    def wait_for_learning(self, what: str, behind: dict[str, int] | None = None) -> None:
        """Wait until every pipeline's job runs and learns some more, than there is or than `behind`."""
        self.wait(f"{what}: the jobs run", self.jobs_run)
        start = behind or self.versions()
        self.wait(
            f"{what}: they learn on from {start}",
            lambda: all(self.version(name) >= start[name] + MORE for name in start),
        )


def check_prediction(compose: Compose) -> None:
    """Ask the server for a prediction as a client would."""
    tensor = {"name": "x", "shape": [1, 64], "datatype": "FP64", "data": [0.0] * 64}
    answer = compose.fetch("HTTP_PORT", "/v2/models/digits/infer", {"inputs": [tensor]})
    say(f"✓ a prediction over HTTP: {answer['outputs'][0]['data']}, of version {answer['model_version']}")


def check_users(compose: Compose) -> None:
    """No container may run as root."""
    for container in compose.run("ps", "--all", "--quiet").split():
        inspect = ["docker", "inspect", "--format", "{{.Name}} {{.Config.User}}", container]
        name, _, user = subprocess.check_output(inspect, text=True).strip().partition(" ")
        if user in ("", "0", "root"):
            raise SystemExit(f"{name} runs as root")
    say("✓ no container runs as root")


def verify(compose: Compose) -> None:
    """Learn everything again, in the submitter's container, and compare."""
    for pipeline in compose.pipelines:
        compose.run("exec", "-T", "submitter", "streamlearn", "verify", pipeline, show=True)
        say(f"✓ verify {pipeline}")


def test(compose: Compose) -> None:
    """Up, kills, more TaskManagers, down and up; verify after each."""
    compose.run("config", "--quiet")
    compose.run("build")
    say("✓ the images are built")
    compose.run("up", "--detach")
    say("✓ docker compose up --detach")
    compose.wait("the server answers", lambda: compose.versions() is not None)
    compose.wait_for_learning("it is up")
    check_prediction(compose)
    check_users(compose)
    for service in ("taskmanager", "jobmanager", "redis"):
        compose.kill(service)
        compose.wait(f"{service} was killed and is back", partial(compose.restarted, service))
        compose.wait_for_learning(f"{service} was killed")
    verify(compose)
    compose.run("up", "--detach", "--scale", "taskmanager=2")
    compose.wait("two TaskManagers", lambda: compose.task_managers() == 2)
    before = compose.versions()
    compose.run("down")
    compose.run("up", "--detach")
    compose.wait("the server answers", lambda: compose.versions() is not None)
    compose.wait_for_learning("down and up", before)
    verify(compose)


def main() -> None:
    """Read the command line, test, and clean up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave everything running, to look at it")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    compose = Compose()
    compose.run("down", "--volumes", "--remove-orphans")
    try:
        test(compose)
        say("everything is as it should be")
    finally:
        if arguments.keep:
            say(f"it runs on, as project {PROJECT}: {compose.ports}")
        else:
            compose.run("down", "--volumes", "--remove-orphans")
            say("containers and volumes are removed")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
