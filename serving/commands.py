"""The command of this program: serve."""

import os
import sys

import click

from streamlearn.settings import Settings

_THREADS = 8


@click.command()
def serve() -> None:
    """Serve the newest models over HTTP, on the address and port of the settings."""
    import gunicorn  # noqa: F401 (a missing server should be named before the process is replaced)

    settings = Settings.load()
    bind = f"{settings.http_host}:{settings.http_port}"
    click.echo(f"serving on http://{bind}/")
    command = [sys.executable, "-m", "gunicorn", "--bind", bind, "--workers", str(settings.http_workers)]
    command += ["--worker-class", "gthread", "--threads", str(_THREADS), "--no-control-socket"]
    command += ["serving.app:create_app()"]
    os.execv(sys.executable, command)  # noqa: S606 (our own interpreter, no shell)


commands = [serve]
