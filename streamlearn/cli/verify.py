"""`streamlearn verify`."""

import sys
import time
from typing import TYPE_CHECKING

import click
import msgspec

from streamlearn.cli.targets import takes_pipeline
from streamlearn.errors import StreamlearnError
from streamlearn.settings import Settings

if TYPE_CHECKING:
    from streamlearn.pipelines.base import Pipeline


@click.command()
@takes_pipeline
@click.option(
    "--last", type=click.IntRange(min=1), help="Verify only about so many records, from a kept version on."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def verify(pipeline: "Pipeline", last: int | None, as_json: bool) -> None:
    """Repeat the stream's learning offline, and compare every answer and every version that is kept.

    You may run it beside a live job: it goes up to what is committed. Exit 0: everything is equal. Exit 1:
    something differs. Exit 2: there was nothing to compare, or a part does not answer.

    \b
    streamlearn verify digits
    streamlearn verify digits --last 10000
    """  # noqa: D301 (click wants the character)
    from streamlearn.broker.broker import Broker
    from streamlearn.cli.terminal.progress import OffsetProgress
    from streamlearn.engine.verification_report import combine_exit_codes
    from streamlearn.learning.process import pin_blas_threads, relieve_collector
    from streamlearn.operations import verification

    pin_blas_threads()
    relieve_collector()
    settings = Settings.load()
    start = time.monotonic()
    try:
        with OffsetProgress(f"verifying {pipeline.name}") as progress, Broker(settings) as broker:
            reports = verification.verify_lineage(broker, pipeline, last=last, report_progress=progress.show)
    except StreamlearnError as error:
        if as_json:
            click.echo(msgspec.json.encode({"pipeline": pipeline.name, "error": str(error), "exit_code": 2}))
        click.echo(f"streamlearn: {error}", err=True)
        sys.exit(2)
    exit_code = combine_exit_codes(reports)
    if as_json:
        click.echo(msgspec.json.encode(verification.summarize(reports)))
    else:
        for line in verification.format_reports(reports, time.monotonic() - start):
            click.echo(line)
    sys.exit(exit_code)


commands = [verify]
