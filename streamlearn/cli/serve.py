"""`streamlearn serve`."""

import click

import serving  # noqa: F401 (where it is not installed, `main.py` says so)
from streamlearn.settings import Settings


@click.command()
def serve() -> None:
    """Serve the newest models over HTTP, on the address and port of the settings.

    The pages are at /, the Open Inference Protocol at /v2, its description at /docs, metrics at /metrics.
    A SIGTERM lets requests that are being answered end first.
    """
    import gunicorn  # noqa: F401 (a missing server should be named before the process is replaced)

    from serving.launch import run_server
    from streamlearn.pipelines.registry import load_all

    settings = Settings.load()
    if settings.pipelines:
        load_all(settings)  # one that cannot be loaded is named here, in one line
    run_server(settings, click.echo)


commands = [serve]
