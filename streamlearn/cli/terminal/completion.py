"""`streamlearn completion SHELL`: completion of commands, options and pipelines by a shell."""

import click
from click.shell_completion import get_completion_class

_PROGRAM = "streamlearn"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what lets a shell complete commands, options and the names of pipelines.

    \b
    eval "$(streamlearn completion bash)"           in ~/.bashrc
    eval "$(streamlearn completion zsh)"            in ~/.zshrc
    streamlearn completion fish | source            in ~/.config/fish/config.fish
    """  # noqa: D301 (click wants the character)
    kind = get_completion_class(shell)
    assert kind is not None
    group = context.find_root().command
    click.echo(kind(group, {}, _PROGRAM, f"_{_PROGRAM.upper()}_COMPLETE").source())
