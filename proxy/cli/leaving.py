"""How what leaves is shown to a person, told of, and written: to stdout, or to a new file that only its owner can read."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.options import Failed, Misused

if TYPE_CHECKING:
    from proxy.core.scrub import Replaced


_RULE = "-" * 72


def account(replaced: "list[Replaced]") -> list[str]:
    """What was replaced and why, in lines."""
    from proxy.cli.words import count

    if not replaced:
        return ["Nothing had to be replaced."]
    head = f"Replaced ({count(len(replaced), 'placeholder')}):"
    return [
        head,
        *(f"  {one.placeholder}  {one.why}{f', {one.times} times' if one.times > 1 else ''}" for one in replaced),
    ]


def show(text: str, below: list[str]) -> None:
    """Every byte of it, and below it what is to be known of it. In a pager where stdout is a terminal."""
    told = "\n".join(["", _RULE, *below, ""])
    if sys.stdout.isatty():
        head = (
            "What would be written stands between the lines. Leave this with q: then you are asked whether to write it."
        )
        click.echo_via_pager(f"{head}\n{_RULE}\n{text}{told}")
    else:
        click.echo(text + told, err=True)


def answerable() -> None:
    """Raises ``Misused`` where nobody can be shown anything and asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Misused("there is no terminal to show it on before it is written: look at it in one, or say --yes")


def consent(text: str, below: list[str]) -> None:
    """Shows it, and asks whether it is to be written. Raises ``Failed`` where it is not."""
    show(text, below)
    if not click.confirm("Write it?", default=False, err=True):
        raise Failed("nothing was written")


def tell(lines: list[str]) -> None:
    """To stderr."""
    for line in lines:
        click.echo(line, err=True)


def write(text: str, output: str | None) -> None:
    """To stdout, or to a new file that only its owner can read. Raises ``Failed``."""
    if output is None or output == "-":
        click.echo(text, nl=False)
        return
    try:
        file = os.open(Path(output).expanduser(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Failed(f"{output} is there already: name a new file with -o") from error
    except FileNotFoundError as error:
        raise Failed(f"there is no folder {Path(output).parent}: make it, or name another place with -o") from error
    except OSError as error:
        raise Failed(f"cannot write {output}: {error.strerror}") from error
    with os.fdopen(file, "w", encoding="utf-8", newline="") as stream:
        stream.write(text)
