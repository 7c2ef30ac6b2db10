"""The figures as tables: medians over the rounds, and how many times those of `naive` they are, round by round."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from msgspec import Struct
from rich.table import Column, Table

from bench.measures import Figures

BASE = "naive"

FIGURES = {
    "requests_per_s_76k": "requests/s, 76 kB",
    "cpu_ms_per_request_76k": "CPU ms a request, 76 kB",
    "requests_per_s_1m": "requests/s, 1 MB",
    "cpu_ms_per_request_1m": "CPU ms a request, 1 MB",
    "cpu_s_per_100k_paced": "CPU s per 100k paced events",
    "delay_ms": "delay of an event, ms",
    "delay_p99_ms": "  the same, 99th percentile",
    "first_event_ms": "first event after, ms",
    "burst_mb_per_s": "burst, MB/s",
    "cpu_s_per_100k_burst": "CPU s per 100k burst events",
    "cpu_ms_afterwards": "CPU ms afterwards, a new conversation",
    "peak_mb": "peak memory, 200 streams, MiB",
}


class Target(Struct, frozen=True):
    """What is aimed at; told, never enforced."""

    figure: str
    contestant: str
    base: str
    most: float


TARGETS = (
    Target("cpu_ms_per_request_76k", "demur", "naive", 1.25),
    Target("cpu_ms_per_request_1m", "demur", "naive", 1.25),
    Target("cpu_s_per_100k_paced", "demur", "naive", 1.25),
    Target("cpu_s_per_100k_burst", "demur", "naive", 1.25),
    Target("cpu_s_per_100k_paced", "demur", "nginx", 1.6),
    Target("peak_mb", "demur", "naive", 1.5),
    Target("cpu_ms_per_request_76k", "mitm-demur", "mitm-trivial", 1.10),
    Target("cpu_ms_per_request_1m", "mitm-demur", "mitm-trivial", 1.10),
    Target("cpu_s_per_100k_paced", "mitm-demur", "mitm-trivial", 1.10),
    Target("cpu_s_per_100k_burst", "mitm-demur", "mitm-trivial", 1.10),
)

type Rounds = Sequence[dict[str, Figures]]
"""One entry a round: contestant -> figures."""


def medians(rounds: Rounds) -> dict[str, Figures]:
    """Contestant -> the median of each figure."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    return {name: {figure: _median(rounds, name, figure) for figure in FIGURES} for name in names}


def ratio(rounds: Rounds, figure: str, contestant: str, base: str) -> float | None:
    """How many times the figure of `base`: the median of the ratios within a round. None where either is missing or 0."""
    both = [
        (found[contestant][figure], found[base][figure]) for found in rounds if contestant in found and base in found
    ]
    ratios = [ours / theirs for ours, theirs in both if theirs]
    return median(ratios) if ratios else None


def tables(rounds: Rounds) -> list[Table]:
    """Figures down, contestants across: first the medians, then how many times those of `naive`."""
    found = medians(rounds)
    values = _table(found, f"median of {len(rounds)}", lambda figure, name: found[name][figure] or None)
    times = _table(found, f"times {BASE}", lambda figure, name: ratio(rounds, figure, name, BASE))
    return [values, times] if BASE in found else [values]


def _table(names: Iterable[str], title: str, value: Callable[[str, str], float | None]) -> Table:
    made = Table("", *(Column(name, justify="right") for name in names), title=title)
    for figure, words in FIGURES.items():
        made.add_row(words, *(_digits(value(figure, name)) for name in names))
    return made


def targets(rounds: Rounds) -> list[dict[str, object]]:
    """Each target that can be judged: what it compares, the most it allows, what was measured, whether that is within."""
    judged: list[dict[str, object]] = []
    for target in TARGETS:
        measured = ratio(rounds, target.figure, target.contestant, target.base)
        if measured is not None:
            words = f"{FIGURES[target.figure]}: {target.contestant} / {target.base}"
            judged.append({"of": words, "most": target.most, "measured": measured, "met": measured <= target.most})
    return judged


def _median(rounds: Rounds, name: str, figure: str) -> float:
    return median(figures[name][figure] for figures in rounds if name in figures)


def _digits(value: float | None) -> str:
    if not value:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
