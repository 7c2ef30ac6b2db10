"""``demur stats --pairs``: what one model declined and another accepted, the same last turn of the user."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from proxy.cli import words
from proxy.cli.figures import number

if TYPE_CHECKING:
    from proxy.cli.table import Row
    from proxy.elsewhere import Pair


def records(pairs: "list[Pair]") -> Iterator[dict[str, Any]]:
    """One for each pair, with the ids, request ids and times of both sides."""
    for pair in pairs:
        yield {
            "asked": pair.asked,
            "declined_by": pair.declined_by,
            "accepted_by": pair.accepted_by,
            "categories": [*pair.categories],
            "newest": pair.newest,
            "declined": [one._asdict() for one in pair.declined],
            "accepted": [one._asdict() for one in pair.accepted],
        }


def show(pairs: "list[Pair]") -> None:
    """A row for each two models, those with the most contents first."""
    from proxy.cli.grouping import say
    from proxy.cli.table import Look
    from proxy.cli.table import show as print_

    if not pairs:
        click.echo("No content that one model declined was seen to pass at another.")
        return
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        found.setdefault((pair.declined_by, pair.accepted_by), []).append(pair)
    rows = [_row(*models, same) for models, same in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))]
    numbers = ["contents", "refusals"]
    print_(
        rows,
        Look(whole=[*numbers, "newest"], numbers=numbers, dispensable={"refusals": 6}, elsewhere="--json has all."),
    )
    say(
        "The same content is the same last turn of the user; what went before it may differ. `--json` has the ids and times of each pair.",
    )


def _row(declined: str, accepted: str, pairs: "list[Pair]") -> "Row":
    newest = words.moment(max(pair.newest for pair in pairs))
    refusals = sum(len(pair.declined) for pair in pairs)
    facts = {
        "declined by": (name := words.line(declined), name.removeprefix("claude-")),
        "accepted by": (name := words.line(accepted), name.removeprefix("claude-")),
    }
    for title, text in (("contents", number(len(pairs))), ("refusals", number(refusals))):
        facts[title] = (text, text)
    return facts | {"newest": (newest, newest[:16])}
