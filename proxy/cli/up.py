"""``demur up``: the gateway, until it is interrupted."""

import asyncio

import click

from proxy.cli.options import config_option, db_option, one_line_errors
from proxy.settings import InForce, load


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

    logs.configure()
    in_force = load(config, {"listen": listen, "upstream": upstream, "db": db})
    for warning in in_force.warnings:
        click.echo(f"demur: {warning}", err=True)
    run_loop(_serve(in_force))


async def _serve(in_force: InForce) -> None:
    from proxy.cli.serving import on_signal, serving

    stop = asyncio.Event()
    async with serving(in_force) as (gateway, url):

        def end() -> None:
            if stop.is_set():
                gateway.hurry()
            elif open_answers := sum(front.busy for front in gateway.fronts):
                click.echo(f"demur waits for open answers: {open_answers}; once more to stop at once", err=True)
            stop.set()

        on_signal(end, "SIGTERM", "SIGINT")
        if fault := await asyncio.to_thread(_fault, in_force):
            click.echo(f"demur: {fault}; requests pass all the same, and `demur doctor` says more", err=True)
        click.echo(
            f"demur is ready: ANTHROPIC_BASE_URL={url}  (upstream {in_force.settings.upstream}, database {in_force.db})"
        )
        await stop.wait()


def _fault(in_force: InForce) -> str | None:
    """Why nothing can be kept just now, if so."""
    from proxy.database import StoreError
    from proxy.store import Store

    try:
        Store.open(in_force.db, timeout=1.0).close()
    except StoreError as error:
        return str(error)
    return None
