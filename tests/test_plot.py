"""The chart in a file."""

import os
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from commands import posix
from proxy.plot import MOST_GROUPS, Chart, Marker, PlotError, Series, draw, loading

SVG = "{http://www.w3.org/2000/svg}"


def chart(**fields: Any) -> Chart:
    given: dict[str, Any] = {
        "title": "Declined requests per month, by category",
        "unit": "declined requests",
        "periods": ["2026-09", "2026-10", "2026-11"],
        "series": [Series(label="cyber", counts=[4, 0, 2]), Series(label="bio", counts=[2, 0, 1])],
        "legend": "category",
        "markers": [],
        "source": "demur, 9 refusals, 1,200 requests, from 2026-09 to 2026-11, UTC",
    }
    return Chart(**(given | fields))


def drawn(path: Path, **fields: Any) -> ET.Element:
    draw(chart(**fields), path)
    return ET.parse(path).getroot()


def texts(root: ET.Element) -> list[str]:
    return [(text.text or "").strip() for text in root.iter(f"{SVG}text")]


def heights(root: ET.Element) -> dict[str, float]:
    """Of the bars, by series and period."""
    found = {}
    for group in root.iter(f"{SVG}g"):
        if (name := group.get("id", "")).startswith("bar "):
            outline = " ".join(path.get("d", "") for path in group.iter(f"{SVG}path"))
            ys = [float(y) for y in re.findall(r"[ML] \S+ (\S+)", outline)]
            found[name] = max(ys) - min(ys)
    return found


@posix
def test_a_chart_is_its_owner_s_alone(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        for name in ("a.svg", "a.png", "a.svg"):
            draw(chart(), tmp_path / name)
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(old)


def test_a_bar_is_as_high_as_its_count(tmp_path: Path) -> None:
    found = heights(drawn(tmp_path / "a.svg"))
    unit = found["bar 0 2026-09"] / 4
    assert unit > 10
    assert {name: round(height / unit, 3) for name, height in found.items()} == {
        "bar 0 2026-09": 4, "bar 0 2026-10": 0, "bar 0 2026-11": 2,
        "bar 1 2026-09": 2, "bar 1 2026-10": 0, "bar 1 2026-11": 1,
    }  # fmt: skip


def test_what_it_says_stands_in_it_as_text(tmp_path: Path) -> None:
    given = chart(markers=[Marker(at=1.5, label="claude-next")])
    found = texts(drawn(tmp_path / "a.svg", markers=given.markers))
    assert {given.title, given.unit, given.source, given.legend, "cyber", "bio", "claude-next", *given.periods} <= set(
        found
    )


def test_the_axis_counts_in_whole_numbers(tmp_path: Path) -> None:
    one = [Series(label="cyber", counts=[1, 0, 0])]
    found = [text for text in texts(drawn(tmp_path / "a.svg", series=one)) if re.fullmatch(r"[\d.,]+", text)]
    assert found == ["0", "1"]
    many = [Series(label="cyber", counts=[123_456, 0, 0])]
    assert "15,000" in texts(drawn(tmp_path / "a.svg", series=many))


def test_groups_differ_in_colour_and_neighbours_in_hatch(tmp_path: Path) -> None:
    series = [Series(label=f"c{n}", counts=[1, 1, 1]) for n in range(MOST_GROUPS)]
    rest = Series(label="other", counts=[1, 1, 1], rest=True)
    draw(chart(series=[*series, rest]), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    bars = re.findall(r'<g id="bar (\d) 2026-09">\s*<path d="[^"]*"[^>]*style="([^"]*)"', text)
    assert [int(n) for n, _ in bars] == list(range(MOST_GROUPS + 1))
    fills = [style.split(";")[0] for _, style in bars]
    assert len(set(fills)) > MOST_GROUPS / 2
    assert all(one != other for one, other in pairwise(fills))
    assert len(re.findall(r"<pattern ", text)) == 6


def test_a_marker_stands_at_its_date(tmp_path: Path) -> None:
    root = drawn(tmp_path / "a.svg", markers=[Marker(at=0.5, label="first"), Marker(at=2.5, label="last")])
    dashed = [path.get("d", "") for path in root.iter(f"{SVG}path") if "stroke-dasharray" in path.get("style", "")]
    places = [float(found[1]) for d in dashed if (found := re.match(r"M (\S+) ", d))]
    bars = {}
    for group in root.iter(f"{SVG}g"):
        if (name := group.get("id", "")).startswith("bar 0"):
            outline = " ".join(path.get("d", "") for path in group.iter(f"{SVG}path"))
            xs = [float(x) for x in re.findall(r"[ML] (\S+) \S+", outline)]
            bars[name] = (min(xs) + max(xs)) / 2
    assert places == pytest.approx([bars["bar 0 2026-09"], bars["bar 0 2026-11"]], abs=0.01)


def test_a_label_is_only_text_whatever_is_in_it(tmp_path: Path) -> None:
    odd = ["_hidden", "$x^2$", "<b>&", "日本語"]
    root = drawn(tmp_path / "a.svg", series=[Series(label=label, counts=[1, 1, 1]) for label in odd])
    assert set(odd) <= set(texts(root))
    draw(chart(title=odd[3], markers=[Marker(at=1, label="$")]), tmp_path / "a.png")


def test_many_periods_have_few_names(tmp_path: Path) -> None:
    names = [f"2026-W{n:02}" for n in range(1, 54)]
    root = drawn(tmp_path / "a.svg", periods=names, series=[Series(label="cyber", counts=[1] * 53)])
    shown = [text for text in texts(root) if text.startswith("2026-W")]
    assert shown == names[::5]


@pytest.mark.parametrize("suffix", ["svg", "png", "SVG"])
def test_the_same_numbers_give_the_same_file(tmp_path: Path, suffix: str) -> None:
    for name in ("one", "other"):
        draw(chart(), tmp_path / f"{name}.{suffix}")
    one, other = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "other"))
    assert one == other
    draw(chart(title="another"), tmp_path / f"one.{suffix}")
    assert (tmp_path / f"one.{suffix}").read_bytes() != one
    assert b"dc:date" not in one
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"one.{suffix}", f"other.{suffix}"]


def test_a_png_is_large_enough_to_print(tmp_path: Path) -> None:
    draw(chart(), tmp_path / "a.png")
    head = (tmp_path / "a.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", head[16:]) == (1800, 1000)


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(PlotError, match="neither .svg nor .png"):
        draw(chart(), tmp_path / "a.pdf")
    with pytest.raises(PlotError, match="cannot be written"):
        draw(chart(), tmp_path / "none" / "a.svg")
    (tmp_path / "a.svg").mkdir()
    with pytest.raises(PlotError, match="cannot be written"):
        draw(chart(), tmp_path / "a.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["a.svg"]


def test_the_environment_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLCONFIGDIR", "/mine")
    before = dict(os.environ)
    with loading():
        assert os.environ["MPLCONFIGDIR"] != "/mine"
    draw(chart(), tmp_path / "a.png")
    assert dict(os.environ) == before


_ELSEWHERE = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from test_plot import chart
from proxy.plot import PlotError, draw, loading
with loading():
    pass
try:
    draw(chart(), Path(sys.argv[1]))
except PlotError as error:
    print(error)
"""


def elsewhere(tmp_path: Path, *first: Path) -> str:
    """What drawing says in a process of its own, with a home of its own."""
    home = tmp_path / "home"
    home.mkdir()
    folders = [*first, Path(__file__).parent, Path(__file__).parent.parent]
    environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": ""}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _ELSEWHERE, tmp_path / "a.svg", *folders],
        env={name: value for name, value in environment.items() if value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert list(home.iterdir()) == []
    return done.stdout


def test_nothing_is_left_in_the_home_folder(tmp_path: Path) -> None:
    assert elsewhere(tmp_path) == ""
    draw(chart(), tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_without_matplotlib_a_line_says_what_to_install(tmp_path: Path) -> None:
    absent = tmp_path / "absent" / "matplotlib"
    absent.mkdir(parents=True)
    (absent / "__init__.py").write_text("raise ImportError('not there')")
    assert elsewhere(tmp_path, absent.parent) == "a chart needs matplotlib: pip install 'demur[plot]'\n"
    assert not (tmp_path / "a.svg").exists()
