"""The spans of a text that are to be replaced: made one where they overlap, and without what is to be kept."""

from typing import NamedTuple

from proxy.core.places import Places

_RANKS = "SECRET DENIED EMAIL ID PATH REPO NAME PROJECT HOST IP HANDLE".split()
_SURE = frozenset({"SECRET", "DENIED"})
"""Kinds that go whatever the person would like to keep."""


class Span(NamedTuple):
    """``value``: what it is known by again."""

    start: int
    end: int
    kind: str
    why: str
    value: str


def is_kept(span: Span, kept: Places, named: Places) -> bool:
    """Whether all of it is something that stays. A secret or a word of the owner's own list goes, unless it is an id, a model, a time."""
    return kept.hold(span.start, span.end) or (span.kind not in _SURE and named.hold(span.start, span.end))


def merged_spans(spans: list[Span]) -> list[Span]:
    """In order, those that overlap as one, which is called what the weightiest of them is called."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if merged and span.start < merged[-1].end:
            before = merged[-1]
            name = min(before, span, key=lambda one: _RANKS.index(one.kind))
            merged[-1] = name._replace(start=before.start, end=max(before.end, span.end))
        else:
            merged.append(span)
    return merged


def parted(spans: list[Span], ids: Places, kept: Places) -> list[Span]:
    """The spans without what is kept that stands within them, or at their ends. Of a secret it is only ids that are."""
    left: list[Span] = []
    for span in spans:
        at = span.start
        for start, end in (ids if span.kind in _SURE else kept).touching(span.start, span.end):
            if start > at:
                left.append(span._replace(start=at, end=start))
            at = max(at, end)
        if span.end > at:
            left.append(span._replace(start=at))
    return left
