"""How often, and how often the same: what a row of refusals comes to, and whether a short text was declined after another one had been.

Refusals are compared by what was *newest* in them. A declined prompt stays in the conversation, on the wire and in a transcript alike, and the next
one follows it in the same turn: what an earlier declined request of the same conversation had in its last turn is taken off the front.

The *poison test*: after something had been declined, a text of the user that is no longer than a greeting was declined as well. Then what set the
refusal off is likely to stand further up, and no other wording of the last text would help.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from proxy.core.said import ADDED, last_turn
from proxy.core.segment import key_of
from schemas.labels import History, Label
from schemas.records import Refusal, Segment

TINY = 6
"""Tokens of a greeting, at most."""

type Newest = Mapping[str, Sequence[Segment]]
"""Refusal id -> the segments of what was newest in it; none where that is not known."""


class Repeats(Struct, kw_only=True):
    """Of some refusals."""

    refusals: int
    incidents: int
    """Of which one followed from other candidates than the next."""
    contents: int
    """Different texts, by what was newest in each; those that are not known count one each."""
    unknown: int
    """Refusals of which it is not known what was said."""
    resends: int
    """Refusals to which nothing had been added since the last accepted request, or which say what an earlier one of them said."""
    sessions: int
    sessionless: int
    """Refusals of which the session is not known."""
    first_at: str
    last_at: str


class _Turn(Struct, frozen=True):
    """A declined request of a conversation, as a later one sees it."""

    asked: str | None
    hashes: tuple[str, ...]
    """Of all that was said since the last answer."""
    newest: list[Segment]


def newest(refusals: Sequence[Refusal], maps: Mapping[str, Sequence[Segment]]) -> dict[str, list[Segment]]:
    """What was newest in each, by id. ``refusals``: in any order, whole incidents; ``maps``: the segments of each, by id."""
    found: dict[str, list[Segment]] = {}
    before: dict[tuple[str | None, ...], list[_Turn]] = {}
    for one in _in_order(refusals):
        turn = [part for part in last_turn(maps.get(one.id, ())) if part.label not in ADDED]
        earlier = before.setdefault(_conversation(one), [])
        found[one.id] = _new(one.asked, turn, earlier)
        if turn:
            earlier.append(_Turn(one.asked, _hashes(turn), found[one.id]))
    return found


def repeats(refusals: Sequence[Refusal], said: Newest | None = None) -> Repeats:
    """``refusals``: one at least, in any order. ``said``: as ``newest`` gives it; without, all of the last turn is compared."""
    asked = [_content(one, said or {}) for one in _in_order(refusals)]
    known, seen, resends = [key for key in asked if key], set[str](), 0
    for one, key in zip(_in_order(refusals), asked, strict=True):
        resends += one.history == History.SAME or key in seen
        seen |= {key} if key else set()
    return Repeats(
        refusals=len(refusals),
        incidents=len({one.incident_id or one.id for one in refusals}),
        contents=len(seen) + len(asked) - len(known),
        unknown=len(asked) - len(known),
        resends=resends,
        sessions=len({one.session_id for one in refusals if one.session_id}),
        sessionless=sum(not one.session_id for one in refusals),
        first_at=min(one.at for one in refusals),
        last_at=max(one.at for one in refusals),
    )


def tiny(refusals: Sequence[Refusal], said: Newest) -> list[Refusal]:
    """Those of a text no longer than a greeting, where something else of their conversation and incident had been declined before."""
    found, before = [], dict[tuple[str | None, ...], set[str]]()
    for one in _in_order(refusals):
        key, earlier = _content(one, said), before.setdefault((*_conversation(one), one.incident_id), set())
        if key is None:
            continue
        if earlier and key not in earlier and _is_tiny(said.get(one.id, ())):
            found.append(one)
        earlier.add(key)
    return found


def _in_order(refusals: Sequence[Refusal]) -> list[Refusal]:
    return sorted(refusals, key=lambda one: (one.at, one.id))


def _conversation(one: Refusal) -> tuple[str | None, ...]:
    """Whose it is; without a session only its own."""
    return (one.session_id, one.agent_id, one.role) if one.session_id else (one.id,)


def _new(asked: str | None, turn: list[Segment], earlier: list[_Turn]) -> list[Segment]:
    """A turn without what was declined in it before; of the same once more, what that had."""
    hashes = _hashes(turn)
    for one in earlier:
        if hashes == one.hashes or (asked is not None and asked == one.asked):
            return one.newest
    begun = max((len(one.hashes) for one in earlier if hashes[: len(one.hashes)] == one.hashes), default=0)
    return turn[begun:]


def _hashes(turn: Sequence[Segment]) -> tuple[str, ...]:
    return tuple(part.hash for part in turn)


def _content(one: Refusal, said: Newest) -> str | None:
    """One hash for what was newest, of the same scheme as ``Refusal.asked``."""
    new = said.get(one.id)
    return key_of("\n".join(_hashes(new)).encode()) if new else one.asked


def _is_tiny(new: Sequence[Segment]) -> bool:
    spoken = bool(new) and all(part.label == Label.USER_TEXT for part in new)
    return spoken and sum(part.tokens_est for part in new) <= TINY
