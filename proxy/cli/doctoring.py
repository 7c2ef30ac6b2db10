"""``demur doctor``: what is set, what works, and what to do where it does not."""

import sys

import click

from proxy.cli.options import columns, config_option, db_option, json_option, one_line_errors

NAMES = len("capture.redact_secrets")
"""Columns of the name of a check, unless a setting with a longer one is told."""
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
    from proxy.cli.layout import wrapped

    found = []
    room, names = columns(10_000), _names(db, config)
    margin = 5 + 2 + names + 2
    for check in checks(db, config, offline=offline):
        found.append(check)
        if not as_json:
            status = click.style(f"{check.status:<5}", fg=_COLOURS[check.status])
            click.echo(f"{status}  {check.name:<{names}}  {wrapped(check.found, room, margin)}")
            if check.todo:
                click.echo(" " * margin + wrapped(f"-> {check.todo}", room, margin + 3))
    failed, warned = (sum(check.status == status for check in found) for status in ("fail", "warn"))
    if as_json:
        click.echo(words.as_json({"checks": [check._asdict() for check in found], "ok": not failed}))
    else:
        click.echo(f"\n{_in_all(failed, warned)}")
    sys.exit(1 if failed else 0)


def _names(db: str | None, config: str | None) -> int:
    from proxy.settings import SettingsError, load

    try:
        told = load(config, {"db": db}).origins
    except SettingsError:  # that is a finding of its own
        told = {}
    return max(NAMES, *map(len, told)) if told else NAMES


def _in_all(failed: int, warned: int) -> str:
    from proxy.cli.words import count

    if not failed and not warned:
        return "All is well."
    told = [f"{failed} failed"] * bool(failed) + [count(warned, "warning")] * bool(warned)
    code = " The exit code is 1 where a check failed, and 0 where all is well but for warnings." if failed else ""
    return ", ".join(told) + "." + code
