"""What a command says where nothing is recorded: what there is to do, for those who have transcripts as well."""

import os
from pathlib import Path


def transcripts() -> Path:
    """Where Claude Code keeps its transcripts, or would."""
    return Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude") / "projects"


def old() -> str:
    """How what was declined before comes in: ``demur import``, with the transcripts of this machine where there are any."""
    there = transcripts()
    read = f"`demur import` reads the transcripts in {there}"
    return read if there.is_dir() else "`demur import FILE` reads transcripts and other recordings"


def nothing(db: Path) -> str:
    """That nothing is recorded, and what to do, without a full stop. ``db``: the database, named where it is not there."""
    missing = "" if os.path.lexists(db) else f" (there is no {db})"
    return f"nothing is recorded yet{missing}: {old()}, `demur run -- claude` begins to watch, `demur doctor` tells what works"


def sentence(db: Path) -> str:
    """The same as a sentence of its own, as wide as the terminal; in a pipe in one line."""
    from proxy.cli.layout import wrapped
    from proxy.cli.options import columns
    from proxy.cli.table import UNLIMITED
    from proxy.cli.words import line

    said = line(nothing(db))
    return wrapped(f"{said[0].upper()}{said[1:]}.", columns(UNLIMITED))
