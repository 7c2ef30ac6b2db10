"""``demur up``: the gateway, until it is interrupted."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import click

from proxy.cli.inforce import stance
from proxy.cli.notice import Notice
from proxy.cli.options import config_option, db_option, one_line_errors, warn
from proxy.settings import InForce, load

TOLD = frozenset({"refusal.seen", "refusal.ended", "turn.answered_elsewhere", "settings.changed"})
"""Log events of which a person at a terminal is told in plain lines instead."""


@click.command()
@click.option("--listen", metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.  [127.0.0.1:8788]")
@click.option("--upstream", metavar="URL", help="The API to pass requests on to.  [https://api.anthropic.com]")
@db_option
@config_option
@one_line_errors
def up(listen: str | None, upstream: str | None, db: str | None, config: str | None) -> None:
    """Run the gateway until interrupted.

    It prints one line with the URL to use once it accepts connections. SIGTERM and Ctrl-C let open responses end first; a second one
    does not wait.

    Example: demur up & ANTHROPIC_BASE_URL=http://127.0.0.1:8788 claude
    """
    from proxy import logs
    from proxy.cli.serving import run_loop

    logs.configure(told=TOLD)
    in_force = load(config, {"listen": listen, "upstream": upstream, "db": db})
    for warning in in_force.warnings:
        warn(warning)
    run_loop(_serve(in_force, Notice(at_once=True, db=db) if sys.stderr.isatty() else None))


async def _serve(in_force: InForce, notice: Notice | None) -> None:
    from proxy.cli.serving import on_signal, serving

    stop = asyncio.Event()
    told = serving(in_force, tell=notice.tell, follow=notice.follow, changed=_changed) if notice else serving(in_force)
    async with told as (gateway, url):

        def end() -> None:
            if stop.is_set():
                gateway.hurry()
                return
            stop.set()
            if open_answers := sum(front.busy for front in gateway.fronts):
                click.echo(f"demur waits for open answers: {open_answers}; once more to stop at once", err=True)

        on_signal(end, "SIGTERM", "SIGINT")
        if fault := await asyncio.to_thread(_fault, in_force):
            click.echo(f"demur: {fault}; requests pass all the same, and `demur doctor` says more", err=True)
        click.echo(
            f"demur is ready: ANTHROPIC_BASE_URL={url}  (upstream {in_force.settings.upstream}, database {in_force.db}, "
            f"{stance(in_force.settings.retry)})"
        )
        await stop.wait()
    if notice:
        with suppress(OSError):  # the terminal may be gone
            notice.close()


def _changed(config: Path) -> None:
    warn(f"{config} was changed: start demur again to use it")


def _fault(in_force: InForce) -> str | None:
    """Why nothing can be kept just now, if so."""
    from proxy.database import StoreError
    from proxy.store import Store

    try:
        Store.open(in_force.db, timeout=1.0).close()
    except StoreError as error:
        return str(error)
    return None
