"""A page of its own: one HTML file without scripts and without anything from elsewhere, which its Content-Security-Policy also forbids.

The style is allowed by its hash, so that nothing that slipped into the page could bring another; what others wrote is escaped by jinja2.
"""

from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from typing import Any

from proxy.exporters.bars import HEIGHT, WIDTH, chart
from proxy.exporters.export import Export
from proxy.exporters.sheet import sheet


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
        sheets=lambda: map(sheet, export.incidents()),
    )
