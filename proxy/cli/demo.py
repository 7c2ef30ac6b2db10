"""``demur demo``: all of it once, on this machine alone: a pretend API, a real gateway, a client, and what is on record then."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from proxy.cli.options import one_line_errors
from proxy.settings import InForce, load
from schemas.settings import Retry

DECLINED = "centrifuge"
"""The pretend API declines what has this word in its last user text."""

_QUESTIONS = (
    "Rename the variable `tmp` in totals.py to something that says what it is.",
    f"Here is our school's lab sheet, set it in two columns: balance the {DECLINED} tubes in pairs. (api_key = sk-ant-api03-demo0secret0never0stored)",
    "Now add a test for an empty list.",
)
_TOOLS = ("Bash", "Edit", "Read", "Write")


@click.command()
@one_line_errors
def demo() -> None:
    """Show how it works, without a key and without a network.

    A pretend API on loopback declines one of three requests that a built-in client sends through a real gateway; then the list and the
    record are shown. The database is a throw-away one.

    Example: demur demo
    """
    from proxy import logs
    from proxy.cli.serving import run_loop

    logs.configure("error")
    with tempfile.TemporaryDirectory(prefix="demur-demo-") as folder:
        database = str(Path(folder) / "demo.db")
        run_loop(_play(database))
        for title, arguments in (("demur list", ["list"]), ("demur show last", ["show", "last"])):
            click.echo(f"\n$ {title}")
            _command(arguments, database)
    click.echo("\nThat was a pretend API and a throw-away database. For a real session: demur run -- claude")


def _command(arguments: list[str], database: str) -> None:
    from proxy.cli import main

    main([*arguments, "--db", database], prog_name="demur", standalone_mode=False)


async def _play(database: str) -> None:
    from proxy.cli.serving import serving
    from proxy.pretend import Pretend, Rule

    async with (
        Pretend("answer", rules=[Rule(word=DECLINED, play="refusal")]) as api,
        serving(_settings(database, api.url)) as (_, url),
    ):
        click.echo(f"A pretend API listens on {api.url}, demur's gateway on {url}. Three requests go through it:\n")
        for number in range(1, len(_QUESTIONS) + 1):
            click.echo(f"  {number}. {await _ask(url, number)}")


def _settings(database: str, upstream: str) -> InForce:
    in_force = load(
        None, {"db": database, "upstream": upstream, "listen": "127.0.0.1:0", "upstream_proxy": "", "upstream_ca": ""}
    )
    in_force.settings.capture.content = "refusals"
    in_force.settings.retry = Retry()
    return in_force


async def _ask(url: str, number: int) -> str:
    import aiohttp

    headers = {
        "User-Agent": "demur-demo/1.0",
        "anthropic-version": "2023-06-01",
        "x-api-key": "sk-ant-api03-the-demo-has-no-key",
        "X-Claude-Code-Session-Id": "00000000-0000-4000-8000-000000000001",
    }
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{url}/v1/messages", json=_body(number)) as answer,
    ):
        text = (await answer.read()).decode()
    return f"{_QUESTIONS[number - 1][:44]}…  -> {_stop_reason(text)}"


def _stop_reason(stream: str) -> str:
    for line in stream.splitlines():
        if line.startswith("data: ") and (reason := json.loads(line[6:]).get("delta", {}).get("stop_reason")):
            return str(reason)
    return "no stop reason"


def _body(number: int) -> dict[str, Any]:
    system = "You are a careful assistant in a terminal.\nWorking directory: /home/dev/lab-sheets\n"
    tools = [{"name": name, "description": f"The tool {name}.", "input_schema": {"type": "object"}} for name in _TOOLS]
    return {
        "model": "claude-opus-5",
        "max_tokens": 1024,
        "stream": True,
        "system": [{"type": "text", "text": system}],
        "tools": tools,
        "messages": list(_turns(number)),
    }


def _turns(number: int) -> Iterator[dict[str, Any]]:
    """The conversation so far; what was declined is no part of it any more."""
    for earlier in range(1, number):
        if DECLINED not in _QUESTIONS[earlier - 1]:
            yield {"role": "user", "content": _QUESTIONS[earlier - 1]}
            yield {"role": "assistant", "content": [{"type": "text", "text": "Done."}]}
    yield {"role": "user", "content": [{"type": "text", "text": _QUESTIONS[number - 1]}]}
