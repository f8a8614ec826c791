"""`streamlearn serve`."""

import click

import serving  # noqa: F401 (if it is missing, `main.py` lists the command with what to install)
from streamlearn.settings import Settings


@click.command()
def serve() -> None:
    """Serve the newest models over HTTP, on the address and port of the settings.

    You find the pages at /, the Open Inference Protocol at /v2, its description at /docs, metrics at
    /metrics. After a SIGTERM, requests that are being answered are finished first.

    Example: STREAMLEARN_HTTP_PORT=9000 streamlearn serve
    """
    import gunicorn  # noqa: F401 (if it is missing, say so before this process is replaced)

    from serving.launch import run_server
    from streamlearn.pipelines.registry import load_all

    settings = Settings.load()
    if settings.pipelines:
        load_all(settings)  # report one that cannot be loaded here, in one line
    run_server(settings, click.echo)


commands = [serve]
