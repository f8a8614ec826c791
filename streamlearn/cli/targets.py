"""What a command is about: the pipeline that its argument names, and the stack that it asks."""

from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from streamlearn.errors import StreamlearnError
from streamlearn.names import registered_names, suggest_names
from streamlearn.settings import Settings, inherit_env, locate_home, preset_env, variable_name

NAMING = "PIPELINE is {}, the name of a module of your own, or MODULE:OBJECT."
"""How a pipeline is named, for the help of each command that takes one."""


class PipelineName(click.ParamType[str]):
    """What stands for a pipeline; a shell completes the names that there are.

    Parameters
    ----------
    or_file
        Whether a file may stand there, too.
    """

    name = "pipeline"

    def __init__(self, *, or_file: bool = False) -> None:
        self._or_file = or_file

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names that begin with what is typed."""
        try:
            names = suggest_names(Settings.load(), Path.cwd())
        except (StreamlearnError, OSError):
            names = registered_names()
        items = [CompletionItem(name) for name in names if name.startswith(incomplete)]
        return [*items, CompletionItem(incomplete, type="file")] if self._or_file else items


def takes_pipeline(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument PIPELINE; call it with the pipeline itself.

    The option `--pipeline` names one, too, and is not shown.
    """

    @click.argument("name", metavar="PIPELINE", required=False, type=PipelineName())
    @click.option("--pipeline", "reference", type=PipelineName(), hidden=True)
    @wraps(command)
    def invoke(name: str | None, reference: str | None, **others: Any) -> Any:
        from streamlearn.pipelines.registry import load

        if (name is None) == (reference is None):
            path = click.get_current_context().command_path
            raise click.UsageError(f"name one pipeline: {path} PIPELINE. {describe_naming()}")
        return command(load(reference or name or ""), **others)

    invoke.__doc__ = f"{command.__doc__ or ''}\n\n    {describe_naming()}"
    return invoke


def describe_naming() -> str:
    """Return how a pipeline is named, in a sentence."""
    return NAMING.format(", ".join(registered_names()))


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
