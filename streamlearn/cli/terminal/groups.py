"""Groups of commands whose `--help` shows each command's first sentence whole, in sections."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click


class CommandGroup(click.Group):
    """A group that lists its commands with their whole first sentences, wrapped where a line is too short.

    Parameters
    ----------
    sections
        The names of the commands under each heading, in their order; commands that are not named follow
        under "Commands".
    """

    def __init__(
        self, *args: Any, sections: Mapping[str, Sequence[str]] | None = None, **others: Any
    ) -> None:
        super().__init__(*args, **others)
        self._sections = sections or {}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings."""
        summaries = {
            name: command.get_short_help_str(limit=sys.maxsize)
            for name in self.list_commands(ctx)
            if (command := self.get_command(ctx, name)) and not command.hidden
        }
        widest = max(map(len, summaries), default=0)
        in_sections = {name for names in self._sections.values() for name in names}
        others = [name for name in summaries if name not in in_sections]
        for title, names in [*self._sections.items(), ("Commands", others)]:
            rows = [(name.ljust(widest), summaries[name]) for name in names if name in summaries]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
