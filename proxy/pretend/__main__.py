"""``python -m proxy.pretend``: the pretend API as a process; its first line of output is its URL."""

import asyncio
import signal
import ssl

import click

from proxy.pretend.options import Options, Rule, parse_play, parse_rule
from proxy.pretend.scenarios import SCENARIOS
from proxy.pretend.server import Pretend


@click.command(epilog=f"Scenarios: {', '.join(SCENARIOS)}.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0 takes any free one.")
@click.option("--scenario", default="answer", show_default=True, help='A play: "refusal category=bio pace=0.01".')
@click.option("--rule", "rules", multiple=True, help='"WORD: PLAY": for requests whose last user text has WORD.')
@click.option("--decline", "words", multiple=True, help="Decline requests whose last user text has this word.")
@click.option("--cert", type=click.Path(exists=True), help="A PEM file with certificate and key: speaks TLS.")
def main(host: str, port: int, scenario: str, rules: tuple[str, ...], words: tuple[str, ...], cert: str | None) -> None:
    """Answer like the Messages API, from scenarios, until interrupted.

    Example: python -m proxy.pretend --port 8999 --decline exploit
    """
    try:
        chosen = [parse_rule(rule) for rule in rules] + [Rule(play="refusal", word=word) for word in words]
        names = [parse_play(play, Options())[0] for play in (scenario, *(rule.play for rule in chosen))]
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if unknown := sorted(set(names) - set(SCENARIOS)):
        raise click.UsageError(f"no such scenario: {', '.join(unknown)}")
    asyncio.run(_serve(scenario, chosen, host, port, cert))


async def _serve(scenario: str, rules: list[Rule], host: str, port: int, cert: str | None) -> None:
    api = Pretend(scenario, rules=rules)
    tls = None
    if cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(cert)
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    click.echo(await api.start(host, port, tls=tls))
    try:
        await over.wait()
    finally:
        await api.stop()


if __name__ == "__main__":
    main()
