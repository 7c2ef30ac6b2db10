"""A page of its own: one HTML file without scripts and without anything from elsewhere, which its Content-Security-Policy also forbids.

The style is allowed by its hash, so that nothing that slipped into the page could bring another; what others wrote is escaped by jinja2.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from typing import Any

from proxy.exporters.bars import HEIGHT, WIDTH, chart
from proxy.exporters.export import Export
from proxy.exporters.sheet import sheet

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


def written(export: Export) -> Iterator[str]:
    """The incidents, the one that began last first. They are read twice. Raises StoreError."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def shown(value: Any) -> Any:
        return export.text(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    folder = files("proxy.exporters")
    style = (folder / "page.css").read_text("utf-8")
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=shown)
    yield from made.from_string((folder / "page.html").read_text("utf-8")).generate(
        style=style,
        hash=b64encode(sha256(style.encode()).digest()).decode(),
        level=str(export.level),
        chart=chart(export.counts()),
        size=(WIDTH, HEIGHT),
        seconds=_seconds,
        sheets=lambda: map(sheet, export.incidents()),
    )


def _seconds(at: str) -> str:
    """A record's time without its milliseconds, as people write it; what is no such time stays as it is."""
    return f"{at[:10]} {at[11:19]}" if _MOMENT.fullmatch(at) else at
