"""A chart in a file, as one would print it in an article: bars by period, stacked by group, with dates of note as markers.

It is drawn with matplotlib, the optional extra ``plot``, which is loaded only here: Agg or SVG, without pyplot. matplotlib would make folders in
the home folder and read every font of the machine: it is given a folder that is gone afterwards, and its own font, so that the same numbers give
the same file everywhere. In an SVG text stays text. The colours are those of Okabe and Ito (readable with every kind of colour blindness)
ordered so that neighbours differ in lightness, and each has a hatch of its own for grey print.
"""

import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png")
MOST_GROUPS = 8
MOST_BARS = 400
"""More of them would be narrower than the ink."""
_TICKS = 12
_COLOURS = "#0072b2 #f0e442 #d55e00 #56b4e9 #009e73 #e69f00 #cc79a7 #000000".split()
_HATCHES = ("", "//", "\\\\", "..", "--", "xx", "++", "")
_REST = ("#dddddd", "")
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "demur",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "hatch.linewidth": 0.6,
    "path.simplify": False,
}


class PlotError(Exception):
    """The chart cannot be drawn or written. The message says why, and what to do."""


class Series(Struct, frozen=True, kw_only=True):
    """One group of the bars."""

    label: str
    counts: list[int]
    """One for each period."""
    rest: bool = False
    """All that is none of the other groups."""


class Marker(Struct, frozen=True, kw_only=True):
    """A line across the chart."""

    at: float
    """0.5 is the middle of the first bar."""
    label: str


class Chart(Struct, frozen=True, kw_only=True):
    """What is drawn."""

    title: str
    unit: str
    """What the bars count."""
    periods: list[str]
    series: list[Series]
    """From the bottom up, ``MOST_GROUPS`` and one of the rest at most."""
    legend: str = ""
    """What the groups are; empty: no legend."""
    markers: list[Marker]
    source: str
    """A line below it."""


def draw(chart: Chart, path: Path) -> None:
    """Writes the chart as SVG or PNG, by the suffix; a file that is there is replaced, at once. Raises PlotError."""
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise PlotError(f"{path.name!r} is neither .svg nor .png: the suffix says which of them is written")
    with _matplotlib(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a label in a script that the font lacks is drawn as boxes
        import matplotlib as mpl

        with mpl.rc_context(_SETTINGS):
            figure = _figure(chart)
            metadata = {"Date": None, "Creator": "demur"} if kind == ".svg" else {"Software": "demur"}
            _write(path, lambda file: figure.savefig(file, format=kind[1:], dpi=200, metadata=metadata))


@contextmanager
def loading() -> Iterator[None]:
    """Loads matplotlib meanwhile, which takes as long as the database does: what is done within waits for no Python most of the time."""
    with _place():
        thread = Thread(target=_load)
        thread.start()
        try:
            yield
        finally:
            thread.join()


def _load() -> None:
    with suppress(ImportError):  # told when it is needed
        import matplotlib.backends.backend_agg
        import matplotlib.backends.backend_svg
        import matplotlib.figure  # noqa: F401


@contextmanager
def _matplotlib() -> Iterator[None]:
    """Within it matplotlib is there. Raises PlotError."""
    with _place():
        try:
            import matplotlib.figure  # noqa: F401
        except ImportError as error:
            raise PlotError("a chart needs matplotlib: pip install 'demur[plot]'") from error
        yield


@contextmanager
def _place() -> Iterator[None]:
    """Within it matplotlib can be loaded, and leaves nothing behind."""
    names = ("MPLCONFIGDIR", "MPL_IGNORE_SYSTEM_FONTS", "MPLBACKEND")
    given = {name: os.environ.get(name) for name in names}
    with tempfile.TemporaryDirectory(prefix="demur-") as folder:
        os.environ |= dict(zip(names, (folder, "1", "agg"), strict=True))
        try:
            yield
        finally:
            for name, value in given.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def _figure(chart: Chart) -> "Figure":
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    _bars(axes, chart)
    step = -(-len(chart.periods) // _TICKS)
    shown = range(0, len(chart.periods), step)
    axes.set_xticks(shown, [chart.periods[n] for n in shown], rotation=45, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(chart.periods) - 0.4)
    highest = max(map(sum, zip(*(series.counts for series in chart.series), strict=True)), default=0)
    axes.set_ylim(0, max(highest, 1) * (1.25 if chart.markers else 1.05))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_ylabel(chart.unit)
    axes.set_title(chart.title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#cccccc", linewidth=0.5)
    axes.set_axisbelow(True)
    _mark(axes, chart.markers)
    figure.supxlabel(chart.source, fontsize="x-small", color="#444444", x=0.01, ha="left")
    return figure


def _bars(axes: "Axes", chart: Chart) -> None:
    below = [0] * len(chart.periods)
    drawn: list[Any] = []
    for n, series in enumerate(chart.series):
        colour, hatch = _REST if series.rest else (_COLOURS[n], _HATCHES[n])
        bars = axes.bar(
            range(len(below)),
            series.counts,
            width=0.8,
            bottom=below,
            color=colour,
            hatch=hatch,
            edgecolor="black",
            linewidth=0.4,
        )
        for bar, period in zip(bars, chart.periods, strict=True):
            bar.set_gid(f"bar {n} {period}")
        drawn.append(bars)
        below = [low + count for low, count in zip(below, series.counts, strict=True)]
    if chart.legend:
        labels = [series.label for series in chart.series]
        legend = axes.legend(
            drawn[::-1], [f" {label}" for label in labels[::-1]], loc="upper left", bbox_to_anchor=(1, 1), frameon=False
        )
        legend.set_title(chart.legend)
        legend.set_alignment("left")


def _mark(axes: "Axes", markers: Sequence[Marker]) -> None:
    for marker in markers:
        at = marker.at - 0.5
        axes.axvline(at, color="black", linewidth=0.9, linestyle=(0, (4, 2)))
        text = axes.text(at, 0.99, marker.label, transform=axes.get_xaxis_transform(), parse_math=False)
        text.set(rotation=90, ha="right", va="top", fontsize="x-small")
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8})


def _write(path: Path, save: Any) -> None:
    """Under another name first, so that a reader sees the old file or the new one, whole; 0600."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            save(file)
        part.replace(path)
    except OSError as error:
        raise PlotError(f"{path} cannot be written ({error.strerror}): name another place") from error
    finally:
        with suppress(OSError):
            part.unlink()
