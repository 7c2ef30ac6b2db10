"""``python -m bench``: what demur costs, beside no proxy and beside others, in front of one same fast upstream.

The contestants take turns, each started afresh in each round, one at a time, on loopback. Timing decides no exit code.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from bench.contestants import DEMUR, MITM_DEMUR, ROOT, AbsentError, Contestant, contestants, started
from bench.machine import machine
from bench.measures import BrokenError, Figures, Scale, measure
from bench.table import medians, tables, targets

QUICK = Scale(seconds=0.4, requests=500, streams=30, paced_events=50, burst_events=1_000, held_events=8, held_ms=100)
ROUNDS = 3
BUDGET_S = 350
"""No round is begun that would end later than this, unless --rounds asks for it; a round takes about 90 seconds."""
BUSY = 0.7
"""The load average of the last minute above which a run is not to be trusted."""
console = Console(stderr=True)


@click.command()
@click.option("--quick", is_flag=True, help="One short round: under a minute, and good for nothing but a first look.")
@click.option("--rounds", type=click.IntRange(1, 20), help=f"Default {ROUNDS}; with --quick 1.")
@click.option("--only", multiple=True, help="Only this contestant, and the next --only.")
@click.option("--demur", default=DEMUR, help="The command of the gateway, with {port}, {upstream}, {folder}, {python}.")
@click.option("--mitm-demur", default=MITM_DEMUR, help="The command of mitmproxy with the add-on, likewise.")
@click.option(
    "--json", "file", type=click.Path(path_type=Path), help="Where the figures go; default: a temporary file."
)
def main(
    quick: bool, rounds: int | None, only: tuple[str, ...], demur: str, mitm_demur: str, file: Path | None
) -> None:
    """Measure what demur costs, beside no proxy and beside others.

    Example: python -m bench --only naive --only demur --rounds 5
    """
    entered = [one for one in contestants(demur, mitm_demur) if one.name in only or not (only or one.extra)]
    if not entered:
        raise click.UsageError(f"nobody is called {', '.join(only)}")
    began = time.monotonic()
    about = machine()
    if os.getloadavg()[0] > BUSY:
        console.print("This machine is busy with something else: take no figure for what it says.")
    with _upstream() as port:
        scale = QUICK if quick else Scale()
        most = 1 if quick else ROUNDS
        found, skipped = _all(entered, port, scale, rounds or most, math.inf if rounds else BUDGET_S)
    written = file or Path(tempfile.mkdtemp(prefix="demur-bench-")) / "figures.json"
    seconds = round(time.monotonic() - began)
    figures = {"machine": about, "seconds": seconds, "rounds": found, "medians": medians(found)}
    figures |= {"targets": targets(found), "skipped": skipped}
    written.write_text(json.dumps(figures, indent=1) + "\n")
    _tell(found, skipped, f"{seconds} s; figures in {written}")


def _tell(found: list[dict[str, Figures]], skipped: dict[str, str], last: str) -> None:
    out = Console(width=None if sys.stdout.isatty() else 120)
    out.print(*tables(found), *(f"{name}: skipped, {why}" for name, why in skipped.items()), sep="\n")
    for target in targets(found):
        verdict = "met   " if target["met"] else "MISSED"
        out.print(f"{verdict} {target['of']} {target['measured']:.2f}, aim {target['most']}", highlight=False)
    out.print(last, highlight=False)


def _all(
    entered: list[Contestant], port: int, scale: Scale, rounds: int, budget: float
) -> tuple[list[dict[str, Figures]], dict[str, str]]:
    found: list[dict[str, Figures]] = []
    skipped: dict[str, str] = {}
    began = time.monotonic()
    for number in range(rounds):
        spent = time.monotonic() - began
        if number and spent * (number + 1) / number > budget:
            break
        taken: dict[str, Figures] = {}
        for contestant in entered[:: -1 if number % 2 else 1]:
            if contestant.name in skipped:
                continue
            console.print(f"round {number + 1} of {rounds}: {contestant.name}", style="dim")
            try:
                taken[contestant.name] = _one(contestant, port, scale)
            except (AbsentError, BrokenError) as error:
                skipped[contestant.name] = str(error)
        found.append(taken)
    return found, skipped


def _one(contestant: Contestant, port: int, scale: Scale) -> Figures:
    with tempfile.TemporaryDirectory(prefix="demur-bench-") as folder:
        Path(folder).chmod(0o700)
        with started(contestant, port, Path(folder)) as running:
            return measure(running, scale)


@contextmanager
def _upstream() -> Iterator[int]:
    command = [sys.executable, "-m", "bench.upstream"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
