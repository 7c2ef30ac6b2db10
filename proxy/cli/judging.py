"""``demur stats --group author``: what each person judged, and how far each two agree."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from proxy.cli import words
from proxy.cli.figures import number, percent
from schemas.labels import Verdict

if TYPE_CHECKING:
    from proxy.core.agreement import Agreement
    from proxy.store import Store

type Agreements = list[tuple[str, str, "Agreement"]]
type Judged = dict[str, Counter[str]]
FEWEST = 10
"""Refusals that two judged, under which no kappa is printed; `--json` has it."""
_VERDICTS = [verdict for verdict in Verdict if verdict != Verdict.UNKNOWN]


def show(store: "Store", since: str | None, *, as_json: bool) -> None:
    """The last verdict of each author on each refusal counts. ``since``: only refusals that are not older. Raises StoreError."""
    from proxy.judgements import agreement, verdicts

    judged = {author: Counter(map(str, given.values())) for author, given in verdicts(store, since).items()}
    agreed = agreement(store, since)
    if as_json:
        _print_json(judged, agreed)
    elif judged:
        _print(judged, agreed)
    else:
        click.echo("Nobody has judged a refusal yet: `demur label` and `demur triage` do.")


def _print_json(judged: Judged, agreed: Agreements) -> None:
    for author, given in judged.items():
        for verdict in _VERDICTS:
            click.echo(words.as_json({"author": author, "verdict": verdict, "judgements": given[verdict]}))
    for author, other, one in agreed:
        click.echo(words.as_json({"author": author, "other": other, **one._asdict()}))


def _print(judged: Judged, agreed: Agreements) -> None:
    from proxy.cli.grouping import say
    from proxy.cli.table import Look
    from proxy.cli.table import show as print_

    titles = [words.VERDICTS[verdict] for verdict in _VERDICTS]
    rows = [
        {"author": words.line(author), "judged": number(given.total())}
        | {words.VERDICTS[verdict]: number(given[verdict]) for verdict in _VERDICTS}
        for author, given in judged.items()
    ]
    numbers = ["judged", *titles]
    print_([{title: (fact, fact) for title, fact in row.items()} for row in rows], Look(whole=numbers, numbers=numbers))
    if agreed:
        click.echo()
        numbers = ["both", "agreed", "by chance", "kappa"]
        print_([_agreement(*one) for one in agreed], Look(whole=numbers, numbers=numbers))
        say(
            f"kappa is Cohen's: 1 is agreement in all, 0 no more than by chance. Over fewer than {FEWEST} refusals it says too little; `--json` has it."
        )


def _kappa(one: "Agreement") -> str:
    if one.n < FEWEST:
        return "too few"
    return "-" if one.kappa is None else f"{one.kappa:.2f}"


def _agreement(author: str, other: str, one: "Agreement") -> dict[str, tuple[str, str]]:
    facts: dict[str, Any] = {
        "author": words.line(author),
        "other": words.line(other),
        "both": number(one.n),
        "agreed": percent(one.observed, 1),
        "by chance": percent(one.expected, 1),
        "kappa": _kappa(one),
    }
    return {title: (fact, fact) for title, fact in facts.items()}
