"""``demur export``: what is recorded, for other programs and other people; how much of it is said in one word (``--level``)."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import (
    Failed,
    Misused,
    config_option,
    db_option,
    json_option,
    meant,
    moment_since,
    one_line_errors,
    since_option,
    warn,
)
from schemas.labels import Kind, Verdict

if TYPE_CHECKING:
    from proxy.exporters.chosen import Chosen
    from proxy.exporters.export import Export
    from proxy.store import Store

FORMATS = ("jsonl", "csv", "markdown", "html", "label-studio", "argilla", "datasette")
LEVELS = ("ids", "metadata", "excerpts", "full")
BESIDE = {"label-studio": ".config.xml", "argilla": ".settings.json"}
"""What is written beside the file takes its name, with this in place of its ending."""
BLOCK = 1 << 16
"""Characters that are printed at once."""


@click.command("export")
@click.argument("names", nargs=-1, metavar="[ID]...")
@click.option("--format", "form", type=click.Choice(FORMATS), help="What is written.  [jsonl]")
@click.option("--level", type=click.Choice(LEVELS), help="How much is let out.  [metadata]")
@since_option
@click.option("--model", metavar="M", help="Only where this model was asked for.")
@click.option("--category", metavar="C", help="Only this category, as the API said it; none: where it said none.")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Only this kind.")
@click.option("--unjudged", is_flag=True, help="Only what nobody has judged yet.")
@click.option("--verdict", type=click.Choice([one.value for one in Verdict]), help="Only what is called this.")
@click.option(
    "--incident",
    "incidents",
    multiple=True,
    metavar="ID",
    help="Only refusals of the incident of this one; may be repeated.",
)
@click.option("--traffic", is_flag=True, help="With the counts of all requests; jsonl only.")
@click.option("-o", "--output", metavar="FILE", help="Write to a file, readable by you alone.  [standard output]")
@click.option("--force", is_flag=True, help="Write over an existing file.")
@json_option
@db_option
@config_option
@one_line_errors
def export(
    names: tuple[str, ...],
    form: str | None,
    level: str | None,
    since: str | None,
    model: str | None,
    category: str | None,
    kind: str | None,
    unjudged: bool,
    verdict: str | None,
    incidents: tuple[str, ...],
    traffic: bool,
    output: str | None,
    force: bool,
    as_json: bool,
    db: str | None,
    config: str | None,
) -> None:
    """Write declined requests for other programs and people: each refusal that the filters leave, the oldest first.

    \b
    ids       what the API's support asks for: request ids, times, models, categories
    metadata  all fields without text; of the request a map: labels, kinds, sizes, hashes
    excerpts  and the API's explanation, notes, and how the new parts of the request begin
    full      all that is stored, as it is stored; as jsonl it can be imported again without loss

    Below full, secrets and what tells of a person or a machine are replaced. label-studio and argilla write what they need for the set-up
    beside the file. datasette writes a metadata.yaml with queries, for the database itself; it has no records in it, and --level no meaning.

    \b
    Example: demur export --since 30d --category cyber --format csv -o refusals.csv
             demur export --level full --traffic | zstd > laptop.jsonl.zst
             demur export --format datasette -o metadata.yaml
    """
    from proxy.cli.database import reading
    from proxy.settings import load

    form = _format(form, output, traffic=traffic, as_json=as_json)
    since = None if since is None else moment_since(since, datetime.now(UTC))
    in_force = load(config, {"db": db})
    target = None if output in (None, "-") else _target(Path(str(output)), in_force.db, form, force=force)
    with reading(in_force.db) as store:
        from proxy.core.scrub import Scrubber
        from proxy.exporters.chosen import Chosen
        from proxy.exporters.export import Export
        from proxy.exporters.levels import Curtain, Level
        from proxy.report.personal import known

        chosen = Chosen(since=since, model=model, category=category, kind=kind, unjudged=unjudged, verdict=verdict)
        chosen = _named(store, chosen, names, incidents)
        curtain = Curtain(Scrubber(known(), in_force.settings.redact.deny))
        made = Export(store, chosen, Level(level or "metadata"), curtain, **_harmless())
        pieces = _pieces(made, form, in_force.db, traffic=traffic)
        if target is None:
            _print(pieces)
        else:
            _write(target, pieces, force=force)
            beside = _write_beside(target, made, form, force=force)
            _say(made, form, target, beside, as_json=as_json)
    for sentence in _notes(made, form, level):
        warn(sentence)
    if made.faults:
        (why, *_) = made.faults.values()
        raise Failed(f"the requests of {len(made.faults)} refusals are left out, the rest is written: {why}")


def _format(form: str | None, output: str | None, *, traffic: bool, as_json: bool) -> str:
    """Raises ``Misused`` for what does not go together."""
    form = form or "jsonl"
    if traffic and form != "jsonl":
        raise Misused(f"--traffic is for jsonl: {form} has no place for it")
    if as_json and output in (None, "-") and form != "jsonl":
        raise Misused(f"--json and --format {form} both say what is written: leave one away, or name a file with -o")
    return form


def _named(store: "Store | None", chosen: "Chosen", names: tuple[str, ...], incidents: tuple[str, ...]) -> "Chosen":
    """With the refusals and incidents that were named. Raises StoreError for a name of none."""
    from msgspec.structs import replace

    if not (names or incidents):
        return chosen
    names, incidents = tuple(map(meant, names)), tuple(map(meant, incidents))
    if store is None:
        raise Failed("nothing is recorded yet, so no refusal has that name")
    ids = tuple(store.find(name).id for name in names)
    opened = tuple(one.incident_id or one.id for one in map(store.find, incidents))
    return replace(chosen, ids=ids or None, incidents=opened or None)


def _harmless() -> dict[str, Any]:
    from proxy.cli import words

    return {"line": words.line, "text": words.text}


def _pieces(made: "Export", form: str, db: Path, *, traffic: bool) -> Iterator[str]:
    from proxy.cli.words import as_json
    from proxy.exporters import argilla, datasette, jsonl, label_studio, markdown, page, table

    match form:
        case "csv":
            return table.written(made)
        case "markdown":
            return markdown.written(made)
        case "html":
            return page.written(made)
        case "label-studio":
            return label_studio.written(made, as_json)
        case "argilla":
            return argilla.written(made, as_json)
        case "datasette":
            return datasette.written(db)
    return jsonl.written(made, as_json, traffic=traffic)


def _print(pieces: Iterable[str]) -> None:
    """Many at once, as each printing is a flush."""
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= BLOCK:
            click.echo("".join(waiting), nl=False)
            waiting, size = [], 0
    click.echo("".join(waiting), nl=False)


def _target(path: Path, db: Path, form: str, *, force: bool) -> Path:
    """Where to write, and that it may be written. Raises ``Failed`` and ``Misused``."""
    target = Path(os.path.realpath(path.expanduser()))
    own = {Path(os.path.realpath(f"{db}{end}")) for end in ("", "-wal", "-shm", "-journal")}
    try:
        for file in (target, *([_beside(target, form)] if form in BESIDE else [])):
            if file in own:
                raise Misused(f"{file} is the database itself: name another file")
            if file.exists() and not file.is_file():
                raise Misused(f"{file} is no file: name one with -o, or leave -o away for standard output")
            if file.exists() and not force:
                raise Failed(f"{file} is there already: --force writes over it")
        if not target.parent.is_dir():
            raise Failed(f"there is no folder {target.parent}: make it, or name another place with -o")
    except OSError as error:
        raise _unwritable(target, error) from error
    return target


def _unwritable(target: Path, error: OSError) -> Failed:
    return Failed(f"{target} cannot be written ({error.strerror}): name another place with -o")


def _beside(target: Path, form: str) -> Path:
    return target.with_suffix(BESIDE[form])


def _write(target: Path, pieces: Iterable[str], *, force: bool) -> None:
    """Whole or not at all, 0600. Raises ``Failed``."""
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # 0600
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.writelines(pieces)
        _place(Path(temporary), target, force=force)
    except FileExistsError as error:
        raise Failed(f"{target} is there already: --force writes over it") from error
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _place(temporary: Path, target: Path, *, force: bool) -> None:
    """Gives the file its name. Without ``force`` one that has come meanwhile stays: a link never takes its place. Raises OSError."""
    if not force:
        try:
            os.link(temporary, target)
        except OSError:
            if target.exists():
                raise  # and else it is a file system without links
        else:
            return
    temporary.replace(target)


def _write_beside(target: Path, made: "Export", form: str, *, force: bool) -> Path | None:
    from proxy.cli.words import as_json
    from proxy.exporters import argilla, label_studio

    if form not in BESIDE:
        return None
    known = label_studio.domains(made)
    text = label_studio.config(known) if form == "label-studio" else as_json(argilla.settings(known), indent=2) + "\n"
    _write(beside := _beside(target, form), [text], force=force)
    return beside


def _notes(made: "Export", form: str, level: str | None) -> Iterator[str]:
    """What somebody might expect of the level and does not get."""
    from proxy.cli.words import count

    if form == "datasette" and level is not None:
        yield "--level says nothing here: datasette reads the database itself, with all that is in it"
    if made.bare:
        has = "has" if made.bare == 1 else "have"
        yield (
            f"{count(made.bare, 'refusal')} {has} no excerpt: what was new there is not known (a transcript does not tell it) or its text not"
            " stored; `demur label ID --segment N` chooses a part, --level full has all"
        )


def _say(made: "Export", form: str, target: Path, beside: Path | None, *, as_json: bool) -> None:
    from proxy.cli import words

    if as_json:
        facts = {"path": str(target), "beside": beside and str(beside), "format": form, "level": str(made.level)}
        click.echo(words.as_json(facts | {"refusals": None if form == "datasette" else made.count}))
        return
    what = "queries" if form == "datasette" else f"{words.count(made.count, 'refusal')}, level {made.level}"
    also = f"; what its set-up needs: {words.line(str(beside))}" if beside else ""
    click.echo(f"{words.line(str(target))}: {what}{also}")
