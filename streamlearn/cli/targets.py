"""What a command is about: the pipeline that its argument names, and the stack that it asks."""

from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import click

from streamlearn.pipelines.registry import load, registered_names
from streamlearn.settings import Settings, inherit_env, locate_home, preset_env, variable_name


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


def use_stack_elsewhere() -> None:
    """Take the home from a folder above this one, or from the only running stack, where nothing names one."""
    named = {variable_name(name) for name in ("home", "kafka", "redis", "flink")} & inherit_env().keys()
    if named or Settings.home.is_dir():
        return
    home = locate_home(Path.cwd().parents, _list_running())
    if home:
        preset_env({variable_name("home"): str(home), variable_name("cache"): str(home / "cache")})
        click.echo(f"streamlearn: using the stack in {home}", err=True)


def _list_running() -> Iterator[Path]:
    try:
        from streamlearn.local.processes import list_homes
    except ModuleNotFoundError:
        return  # what runs stacks is not installed
    yield from list_homes()
