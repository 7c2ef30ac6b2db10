"""``demur run``: one command behind a listener of its own.

The command gets the terminal, its signals and its exit code as if demur were not there. A signal that a terminal sends reaches it
directly, since it is in the terminal's foreground group; what is sent to demur alone is passed on.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import IO

import click

from proxy.cli.notice import Notice
from proxy.cli.options import config_option, db_option, one_line_errors, warn
from proxy.settings import InForce, load

NOT_FOUND, NOT_RUN = 127, 126
"""Exit codes of a shell for a command that is not there, and for one that cannot be run."""


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--via", type=click.Choice(["gateway", "mitmproxy"]), default="gateway", show_default=True, help="The way in."
)
@click.option("--upstream", metavar="URL", help="The API to pass requests on to.  [ANTHROPIC_BASE_URL, or the API]")
@db_option
@config_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@one_line_errors
def run(via: str, upstream: str | None, db: str | None, config: str | None, command: tuple[str, ...]) -> None:
    """Run a command, say `claude`, behind demur.

    A listener on a free loopback port is started for it and ends with it. An ANTHROPIC_BASE_URL that is set becomes the upstream; a
    proxy that is set is chained. The exit code is the command's. If something was declined, or answered by another model than the one that
    was asked, a line on stderr says so.

    Example: demur run -- claude
    """
    from proxy import logs
    from proxy.cli.serving import run_loop

    logs.configure("error")
    existing = None if "DEMUR_UPSTREAM" in os.environ else os.environ.get("ANTHROPIC_BASE_URL")
    in_force = load(config, {"upstream": upstream or existing or None, "db": db})
    for warning in in_force.warnings:
        warn(warning)
    notice = Notice(at_once=not (sys.stdin.isatty() and sys.stdout.isatty()) or _prints(command), db=db)
    code = run_loop(_run(_way_in(via, in_force, notice), command))
    notice.close()
    sys.exit(code)


def _prints(command: tuple[str, ...]) -> bool:
    """Whether Claude Code was asked for one answer without its screen."""
    return bool({"-p", "--print"} & set(command))


def _way_in(via: str, in_force: InForce, notice: Notice) -> AbstractAsyncContextManager[Mapping[str, str | None]]:
    if via == "gateway":
        from proxy.cli.wayin import through_gateway

        return through_gateway(in_force, notice)
    from proxy.cli.wayin import through_mitmproxy

    return through_mitmproxy(in_force, notice)


async def _run(way_in: AbstractAsyncContextManager[Mapping[str, str | None]], command: tuple[str, ...]) -> int:
    async with way_in as environment:
        children: list[subprocess.Popen[bytes]] = []
        _pass_signals(children, sys.stdin)
        try:
            child = subprocess.Popen(command, env=_environment(environment))  # noqa: ASYNC220 - once, at the start
        except FileNotFoundError:
            click.echo(f"demur: {command[0]}: command not found", err=True)
            return NOT_FOUND
        except OSError as error:
            click.echo(f"demur: cannot run {command[0]}: {error.strerror}", err=True)
            return NOT_RUN
        children.append(child)
        code = await asyncio.to_thread(child.wait)
    return code if code >= 0 else 128 - code


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Ours with the changes; None takes a variable out."""
    return {name: value for name, value in {**os.environ, **changes}.items() if value is not None}


def _pass_signals(children: list[subprocess.Popen[bytes]], stdin: IO[str]) -> None:
    """A signal that comes while the command is being started waits in the loop until it has been."""
    from proxy.cli.serving import on_signal

    def pass_on(name: str) -> None:
        for child in children:
            child.send_signal(getattr(signal, name))

    for name in ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"):
        on_signal(partial(pass_on, name), name)
    for name in ("SIGINT", "SIGQUIT"):
        on_signal((lambda: None) if stdin.isatty() else partial(pass_on, name), name)
