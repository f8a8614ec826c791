"""The local stack's submitter: `python -m streamlearn.local.submitter` keeps every pipeline's job running."""

import threading

import click

from flink_jobs.keep import keep_rules_running, keep_running, keep_sql_running
from streamlearn.pipelines.registry import load_all
from streamlearn.settings import Settings
from streamlearn.warehouse.copying import keep_copying


def main() -> None:
    """Keep the jobs of the stack's pipelines running, and of those it is told of, for ever.

    What the SQL jobs write as summaries is copied into Redis.
    """
    settings = Settings.load()
    for keep in (keep_sql_running, keep_rules_running, keep_copying):
        threading.Thread(target=keep, args=(settings, click.echo), daemon=True).start()
    keep_running(settings, load_all(settings), click.echo, announced=True)


if __name__ == "__main__":
    main()
