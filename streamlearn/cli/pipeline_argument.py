"""The argument that names a pipeline: a registered name, or `--pipeline package.module:object`."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from streamlearn.pipelines.registry import load, registered_names


def takes_pipeline(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument PIPELINE and the option --pipeline; call it with the pipeline itself."""

    @click.argument("name", metavar="[PIPELINE]", required=False)
    @click.option(
        "--pipeline",
        "reference",
        metavar="MODULE:OBJECT",
        help="A pipeline of your own, instead of PIPELINE.",
    )
    @wraps(command)
    def invoke(name: str | None, reference: str | None, **others: Any) -> Any:
        if (name is None) == (reference is None):
            raise click.UsageError(
                f"name one pipeline ({', '.join(registered_names())}),"
                " or one of your own as --pipeline MODULE:OBJECT"
            )
        return command(load(reference or name or ""), **others)

    return invoke
