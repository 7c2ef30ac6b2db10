"""A group of commands that knows what was meant."""

from difflib import get_close_matches

import click


class Group(click.Group):
    """Where a command is not there, the error names the one that is spelled most like it."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """click's."""
        name = args[0]
        if self.get_command(ctx, name) is None and (close := get_close_matches(name, self.list_commands(ctx), n=1)):
            ctx.fail(f"No such command {name!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)
