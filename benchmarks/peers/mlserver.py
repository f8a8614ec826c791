"""MLServer, with scikit-learn's linear model of the digits: the server that KServe takes for such models.

It stands in a virtual environment of its own, `.venv-mlserver`, which `scripts/bench serve` makes: its
requirements are not those of streamlearn. It is measured twice:

installed   with its own settings, which hand each request to a worker process
tuned       one process that predicts by itself, without metrics, log lines and debugging
"""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
import psutil

from benchmarks.servers import find_free_port
from streamlearn.settings import ONE_BLAS_THREAD, inherit_env
from streamlearn.waiting import wait_until

FOLDER = Path(__file__).parents[2] / ".venv-mlserver"

KINDS: dict[str, dict[str, Any]] = {
    "installed": {},
    "tuned": {
        "parallel_workers": 0,
        "debug": False,
        "metrics_endpoint": None,
        "use_structured_logging": False,
        "gzip_enabled": False,
        "environments_dir": "environments",
    },
}
"""How it is measured → the settings that differ from its own."""

_START_S = 120.0

_TRAIN = """
import joblib
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
x, y = load_digits(return_X_y=True)
joblib.dump(SGDClassifier(loss="log_loss", random_state=0).fit(x, y), "model.joblib")
"""


def is_installed() -> bool:
    """Return whether it can be started."""
    return (FOLDER / "bin" / "mlserver").exists()


def prepare(home: Path, kind: str, port: int) -> Path:
    """Write a folder for it to serve from: a model that it has trained itself, and settings; return it."""
    folder = home / f"mlserver-{kind}"
    folder.mkdir()
    # The format that its scikit-learn runtime reads; made by its own Python, read by nothing else.
    subprocess.run([FOLDER / "bin" / "python", "-c", _TRAIN], cwd=folder, check=True)
    model = {
        "name": "digits",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib"},
    }
    ports = {"host": "127.0.0.1", "http_port": port, "grpc_port": find_free_port()}
    settings = {**ports, "metrics_port": find_free_port(), **KINDS[kind]}
    (folder / "model-settings.json").write_text(json.dumps(model))
    (folder / "settings.json").write_text(json.dumps(settings))
    return folder


@contextmanager
def running_mlserver(home: Path, kind: str) -> Iterator[tuple[psutil.Process, int]]:
    """Start it, and end it with all its processes; yield it and its port.

    Raises
    ------
    click.ClickException
        It ends at once; with its log.
    """
    port = find_free_port()
    folder = prepare(home, kind, port)
    path = folder / "log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [FOLDER / "bin" / "mlserver", "start", "."],
            cwd=folder,
            env=inherit_env(ONE_BLAS_THREAD),
            stdout=log,
            stderr=log,
        )
    server = psutil.Process(process.pid)
    try:
        wait_until(lambda: process.poll() is not None or _is_ready(port), _START_S, "MLServer", every_s=0.2)
        if process.poll() is not None:
            raise click.ClickException(f"MLServer does not start:\n{path.read_text()[-2000:]}")
        yield server, port
    finally:
        children = server.children(recursive=True) if process.poll() is None else []
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        for part in (server, *children):
            with suppress(psutil.NoSuchProcess):
                part.kill()
        process.wait()


def _is_ready(port: int) -> bool:
    url = f"http://127.0.0.1:{port}/v2/models/digits/ready"
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as response:
        return bool(response.status == 200)
    return False
