"""``python -m bench.importing``: how fast `demur import` reads a home full of transcripts, and in how much memory.

A home of a gigabyte is multiplied from sessions of the real Claude Code (``bench.seeds``), and imported by a process of its own into a
database of its own; then once more, when all is known. Two more homes hold what is hardest on memory: a line of 200 MB, which is passed over,
and lines of 30 MB, which are read. What is then on record must be what was planted: only that decides the exit code.
"""

import json
import os
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click
from msgspec import Struct, structs
from rich.console import Console
from rich.table import Column, Table

from bench import homes
from bench.contestants import private
from bench.homes import MB, Facts, Home
from bench.machine import machine
from bench.measures import BrokenError
from bench.watching import Watched, watched

PROJECTS = ".claude/projects"
QUICK_MB = 50
MOST_MB = 300
"""Peak memory of all processes together that is aimed at."""
MOST_S = 600.0
"""After which an import is ended."""
console = Console(stderr=True)


class Run(Struct):
    """One import."""

    name: str
    mb: float
    """Read: in millions of bytes."""
    mb_per_s: float
    """Of the home's size, read or known."""
    seconds: float
    cpu_s: float
    peak_mb: float
    """Of all processes together, in MiB."""
    peaks_mb: list[float]
    requests: int
    refusals: int


@click.command()
@click.option("--mb", type=click.IntRange(1, 20_000), default=1000, show_default=True, help="Size of the home.")
@click.option("--quick", is_flag=True, help=f"{QUICK_MB} MB, and shorter lines: a first look only.")
@click.option("--cpus", type=click.IntRange(1, 64), help="Imported as if there were so many (from Python 3.13 on).")
@click.option(
    "--json", "file", type=click.Path(path_type=Path), help="Where the figures go; default: a temporary file."
)
def main(mb: int, quick: bool, cpus: int | None, file: Path | None) -> None:
    """Measure how fast transcripts are imported, and in how much memory.

    Example: python -m bench.importing --mb 200
    """
    mb, scale = (QUICK_MB, 10) if quick else (mb, 1)
    about, runs, wrong = machine(), list[Run](), list[str]()
    written = file or Path(tempfile.mkdtemp(prefix="demur-bench-")) / "importing.json"
    cases: dict[str, Callable[[Path], Home]] = {
        f"{mb} MB": lambda projects: homes.write(projects, mb * MB),
        f"a line of {200 // scale} MB": lambda projects: homes.with_a_line(projects, 200 * MB // scale),
        f"4 lines of {30 // scale} MB": lambda projects: homes.with_a_line(projects, 30 * MB // scale, 4),
    }
    if cpus:
        os.environ["PYTHON_CPU_COUNT"] = str(cpus)
    for name, write in cases.items():
        console.print(name, style="dim")
        try:
            runs += case(name, write, again=name == f"{mb} MB")
        except BrokenError as error:
            wrong.append(f"{name}: {error}")
    figures = {"machine": about, "as_if_cpus": cpus, "runs": [structs.asdict(run) for run in runs], "wrong": wrong}
    written.write_text(json.dumps(figures, indent=1) + "\n")
    _tell(runs, wrong, written)
    sys.exit(1 if wrong else 0)


def case(name: str, write: Callable[[Path], Home], *, again: bool) -> list[Run]:
    """A home, written, and imported once or twice. Raises BrokenError where something else is on record than was planted."""
    with tempfile.TemporaryDirectory(prefix="demur-bench-") as made:
        folder = Path(made)
        folder.chmod(0o700)
        began = time.monotonic()
        home = write(folder / PROJECTS)
        told = (
            f"{home.bytes / MB:,.0f} MB, {home.files} files, {home.prompts} prompts, {home.declined.total()} declined"
        )
        console.print(f"{told}; written in {time.monotonic() - began:.0f} s", style="dim", highlight=False)
        runs = [_imported(name, folder, home)]
        if again:
            runs.append(_imported("the same again", folder, home))
            if runs[1].mb:
                raise BrokenError(f"{runs[1].mb:.0f} MB were read again")
        return runs


def _imported(name: str, folder: Path, home: Home) -> Run:
    db = folder / "demur.db"
    command = [sys.executable, "-m", "proxy.cli", "import", "--json", "--db", str(db), str(folder / PROJECTS)]
    ran = watched(command, private(folder), folder, MOST_S)
    if ran.code:
        raise BrokenError(f"it ended with {ran.code}: {ran.out[-300:]}")
    if said := wrong(on_record(db), home.declined):
        raise BrokenError(f"{said}: {ran.out[-300:]}")
    told: dict[str, Any] = json.loads(ran.out.splitlines()[-1])
    return _run(name, ran, told, home)


def _run(name: str, ran: Watched, told: dict[str, Any], home: Home) -> Run:
    read = told["files"]["bytes"] / MB
    return Run(
        name=name,
        mb=read,
        mb_per_s=home.bytes / MB / ran.seconds,
        seconds=ran.seconds,
        cpu_s=ran.cpu_s,
        peak_mb=ran.peak_mb,
        peaks_mb=ran.peaks_mb,
        requests=told["requests"],
        refusals=home.declined.total(),
    )


def on_record(db: Path) -> Facts:
    """All records of a database, of whatever kind."""
    with closing(sqlite3.connect(db)) as opened:
        return Counter(map(tuple, opened.execute("select session_id, kind, category from refusals")))


def wrong(found: Facts, planted: Facts) -> str:
    """What is on record and was not declined, or the other way round. Not every line of a transcript tells the category."""
    if sum_of(found) != sum_of(planted):
        missing, more = sum_of(planted) - sum_of(found), sum_of(found) - sum_of(planted)
        return f"{missing.total()} that were declined are not on record, and {more.total()} are that were not"
    named: Facts = Counter({fact: n for fact, n in found.items() if fact[2] is not None})
    return "" if named <= planted else f"{(named - planted).total()} have a category that they had not"


def sum_of(facts: Facts) -> Counter[tuple[str, str]]:
    """By session and kind."""
    made: Counter[tuple[str, str]] = Counter()
    for (session, kind, _), n in facts.items():
        made[session, kind] += n
    return made


def _tell(runs: list[Run], wrong: list[str], written: Path) -> None:
    out = Console(width=None if sys.stdout.isatty() else 120)
    columns = ("MB/s", "s", "CPU s", "peak MiB", "by process", "requests", "refusals")
    table = Table("", *(Column(name, justify="right") for name in columns))
    for run in runs:
        peaks = " + ".join(f"{peak:.0f}" for peak in run.peaks_mb)
        speeds = (f"{run.mb_per_s:,.0f}", f"{run.seconds:.1f}", f"{run.cpu_s:.1f}", f"{run.peak_mb:.0f}", peaks)
        table.add_row(run.name, *speeds, f"{run.requests:,}", f"{run.refusals:,}")
    out.print(table)
    for run in runs:
        met = "met   " if run.peak_mb <= MOST_MB else "MISSED"
        out.print(f"{met} peak memory, {run.name}: {run.peak_mb:.0f} MiB, aim {MOST_MB}", highlight=False)
    for said in wrong:
        out.print(f"WRONG  {said}", highlight=False)
    out.print(f"figures in {written}; load {os.getloadavg()[0]:.2f}", highlight=False)


if __name__ == "__main__":
    main()
