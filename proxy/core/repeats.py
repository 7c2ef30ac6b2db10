"""How often, and how often the same: what a row of refusals comes to, and whether a session was declined whatever was said in it.

The *poison test*: a text of the user that is no more than a greeting was declined as well, in a conversation under way. Then what set the refusal
off is likely to stand further up, and no other wording of the last text would help.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from schemas.labels import History, Label
from schemas.records import Refusal, Segment

TINY = 6
"""Tokens of a greeting, at most."""


class Repeats(Struct, kw_only=True):
    """Of some refusals."""

    refusals: int
    incidents: int
    """Of which one followed from other candidates than the next."""
    contents: int
    """Different last texts of the user; those that are not known count one each."""
    resends: int
    """Refusals to which nothing had been added since the last accepted request, or which say what an earlier one of them said."""
    sessions: int
    first_at: str
    last_at: str


def repeats(refusals: Sequence[Refusal]) -> Repeats:
    """``refusals``: one at least, in any order."""
    asked = [one.asked or one.id for one in refusals]
    same = sum(one.history == History.SAME for one in refusals)
    return Repeats(
        refusals=len(refusals),
        incidents=len({one.incident_id or one.id for one in refusals}),
        contents=len(set(asked)),
        resends=max(same, len(asked) - len(set(asked))),
        sessions=len({one.session_id for one in refusals if one.session_id}),
        first_at=min(one.at for one in refusals),
        last_at=max(one.at for one in refusals),
    )


def is_tiny(segments: Iterable[Segment]) -> bool:
    """Whether the last text of the user is no more than a greeting."""
    said = [one for one in segments if one.label == Label.USER_TEXT]
    last = [one for one in said if one.path.partition(".")[0] == said[-1].path.partition(".")[0]]
    return bool(last) and sum(one.tokens_est for one in last) <= TINY
