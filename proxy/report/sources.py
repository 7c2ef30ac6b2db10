"""What a report is written from: dossiers out of the store, the pairs, and the texts of the segments that were chosen."""

import json
from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field

from proxy.core.known import Known
from proxy.core.repeats import Newest, newest, tiny
from proxy.core.scrub import Scrubber
from proxy.dossier import Dossier, dossier
from proxy.elsewhere import Pair, pairs
from proxy.report.pack import Excerpt, Extra, Level, Pack
from proxy.report.packing import known_ids, pack
from proxy.report.personal import Machine
from proxy.statistics import Scope
from proxy.store import Store, StoreError
from schemas.records import Refusal
from schemas.settings import Settings


class Sources(Struct, kw_only=True):
    """All that was read for a report. Texts of the conversation are in it: it does not leave."""

    dossiers: list[Dossier]
    extras: dict[str, Extra]
    pairs: list[Pair]
    poisoned: list[str]
    """As in ``Pack``, of all refusals of their incidents."""
    texts: list[str]
    """Of all segments of the requests of which an excerpt was chosen: what is secret in them is to be known."""
    said: Newest = field(default_factory=dict)
    """What was newest in each."""

    @property
    def known(self) -> Known:
        """What of these must not leave, beside what is known of the machine."""
        refusals = [one.refusal for one in self.dossiers]
        return Known(
            accounts=tuple({one.user for one in refusals if one.user}),
            projects=tuple({one.project for one in refusals if one.project}),
            ids=known_ids(self.dossiers),
        )

    @property
    def keep(self) -> list[str]:
        """Categories, models and clients: what must survive."""
        told = [one.refusal for one in self.dossiers]
        facts = [
            fact for one in told for fact in (one.category, one.model, one.answered_by, one.client, one.client_version)
        ]
        return list(dict.fromkeys(fact for fact in facts if fact))


def sources(
    store: Store,
    refusals: Sequence[Refusal],
    settings: Settings,
    *,
    chosen: Sequence[int] = (),
    with_pairs: bool = False,
) -> Sources:
    """Reads them. ``chosen``: the numbers of the segments that an excerpt is wanted of, of the one refusal. Raises StoreError."""
    dossiers = [dossier(store, one, settings) for one in refusals]
    extras, texts = {}, list[str]()
    for one in dossiers:
        extra = Extra(effort=_effort(store, one))
        if chosen:
            stored = _texts(store, one)
            texts += stored.values()
            extra.excerpts = [_excerpt(one, stored, n) for n in chosen]
        extras[one.refusal.id] = extra
    names = {one.id for one in refusals}
    found = (
        [pair for pair in pairs(store, Scope()) if any(one.id in names for one in pair.declined)] if with_pairs else []
    )
    members = list({one.id: one for told in dossiers for one in (*told.incident, told.refusal)}.values())
    said = newest(members, {one.id: store.segments(one.id) for one in members})
    poisoned = [one.request_id or one.at for one in tiny(members, said)]
    return Sources(dossiers=dossiers, extras=extras, pairs=found, poisoned=poisoned, texts=texts, said=said)


def packed(read: Sources, scrubber: Scrubber, level: Level, *, exemption: str | None, machine: Machine) -> Pack:
    """The facts, not scrubbed yet but for what is hidden at their level."""
    return pack(
        read.dossiers,
        level,
        scrubber.placeholder,
        extras=read.extras,
        pairs=read.pairs,
        poisoned=read.poisoned,
        said=read.said,
        exemption=exemption,
        machine=machine,
    )


def _texts(store: Store, found: Dossier) -> dict[int, str]:
    """The texts of its segments that are stored, by their numbers."""
    stored = store.texts(found.refusal.id)
    return {one.n: said(stored[one.content]) for one in found.segments if one.content in stored}


def _excerpt(found: Dossier, stored: dict[int, str], n: int) -> Excerpt:
    kinds = {one.n: one.label for one in found.segments}
    if n not in kinds:
        raise StoreError(f"there is no segment {n} in {found.refusal.id}: `demur show ID --full` has their numbers")
    if n not in stored:
        raise StoreError(f"the text of segment {n} of {found.refusal.id} was not kept: report without --segment {n}")
    return Excerpt(n=n, kind=kinds[n], text=stored[n])


def said(content: bytes) -> str:
    """What a segment says, without its JSON; what is no text is described."""
    try:
        return "\n".join(_said(json.loads(content)))
    except (ValueError, RecursionError):
        return content.decode("utf-8", "backslashreplace")


def _said(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case {"type": "base64", "data": str(data)}:
            return [f"({len(data)} characters of base64, not shown)"]
        case {"type": "text", "text": str(words)} | {"type": "thinking", "thinking": str(words)}:
            return [words]
        case {"type": "redacted_thinking"}:
            return ["(redacted thinking, not shown)"]
        case {"content": str() | list() as inner, **rest} if str(rest.get("type")).endswith("tool_result"):
            return _said(inner)
        case {"input": asked, **rest} if str(rest.get("type")).endswith("tool_use"):
            return _said(asked)
        case list():
            return [line for item in value for line in _said(item)]
        case dict():
            return [
                line
                for name, item in value.items()
                if name not in ("type", "cache_control")
                for line in _field(name, item)
            ]
    return [json.dumps(value)]


def _field(name: str, item: Any) -> list[str]:
    first, *more = _said(item) or [""]
    return [f"{name}: {first}", *more]


def _effort(store: Store, found: Dossier) -> str | None:
    """How much the model was told to think; None where the request is not stored or does not say."""
    try:
        skeleton = store.skeleton(found.refusal.id)
        asked = json.loads("".join(part.decode() if isinstance(part, bytes) else "null" for part in skeleton or []))
        effort = asked["output_config"]["effort"]
    except (StoreError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return effort if isinstance(effort, str) else None
