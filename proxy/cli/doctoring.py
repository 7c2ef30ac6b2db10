"""``demur doctor``: what is set, what works, and what to do where it does not."""

import shutil
import sys

import click

from proxy.cli.options import config_option, db_option, json_option, one_line_errors

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option("--offline", is_flag=True, help="Do not connect to the API.")
@json_option
@db_option
@config_option
@one_line_errors
def doctor(offline: bool, as_json: bool, db: str | None, config: str | None) -> None:
    """Check settings, database, upstream and environment, and say what to do.

    It changes nothing and sends no request. The exit code is 1 if a check failed; a warning is none.

    \b
    Example: demur doctor
             demur doctor --json | jq '.checks[] | select(.status != "ok")'
    """
    from proxy.cli import words
    from proxy.cli.checks import checks

    found = []
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    for check in checks(db, config, offline=offline):
        found.append(check)
        if not as_json:
            margin = 7 + max(20, len(check.name) + 1)
            click.echo(
                f"{click.style(f'{check.status:<5}', fg=_COLOURS[check.status])}  {check.name:<{margin - 8}} ", nl=False
            )
            click.echo(words.wrapped(check.found, columns, margin))
            if check.todo:
                click.echo(" " * margin + words.wrapped(f"-> {check.todo}", columns, margin + 3))
    failed, warned = (sum(check.status == status for check in found) for status in ("fail", "warn"))
    if as_json:
        click.echo(words.as_json({"checks": [check._asdict() for check in found], "ok": not failed}))
    else:
        click.echo(f"\n{_in_all(failed, warned)}")
    sys.exit(1 if failed else 0)


def _in_all(failed: int, warned: int) -> str:
    from proxy.cli.words import count

    if not failed and not warned:
        return "All is well."
    told = [f"{failed} failed"] * bool(failed) + [count(warned, "warning")] * bool(warned)
    return ", ".join(told) + "."
