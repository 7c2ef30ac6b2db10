"""Logs of Inspect AI: the calls of Claude models in a ``.json`` log, or in the samples of a ``.eval`` archive.

Read after the source of inspect_ai 0.3.285. A model event holds the raw call, with long texts under ``attachments`` and the messages in a pool that
events share; where the raw call was not logged, only Inspect's own output is known, in which a refusal is ``content_filter``.
Archives that are compressed with Zstandard need a Python that can read them.
"""

import zipfile
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO

from msgspec.structs import replace

from proxy.importers import moments
from proxy.importers.documents import LARGEST, Json, decode, items, table, text, whole
from proxy.importers.exchanged import Captured, Exchanges, body
from proxy.importers.opening import member, opening
from proxy.importers.source import Found, Origin, Trouble
from schemas.records import Entry

_ZIP = b"PK\x03\x04"
_ATTACHMENT = "attachment://"


class InspectLog:
    """See the head of the module."""

    name = "inspect"

    def claims(self, head: bytes, origin: Origin) -> bool:
        """See ``Source``."""
        if head.startswith(_ZIP):
            return b"_journal/start.json" in head[:4096]
        value = opening(head)
        return isinstance(value, dict) and "task" in member(value, "eval") and "model" in member(value, "eval")

    def read(self, file: BinaryIO, origin: Origin) -> Iterator[Found]:
        """See ``Source``."""
        exchanges, (data, trouble) = Exchanges(self.name, origin), whole(file)
        samples = _archived(data) if data.startswith(_ZIP) else items(data, "samples")
        for sample in samples if data else ():
            if isinstance(sample, Trouble):
                yield sample
                continue
            for event in _events(sample):
                yield from _found(exchanges, event)
        if trouble:
            yield trouble


def _archived(data: bytes) -> Iterator[Json | Trouble]:
    try:
        archive = zipfile.ZipFile(BytesIO(data))
    except zipfile.BadZipFile:
        yield Trouble(None, "an archive that is cut off, or damaged")
        return
    with archive:
        for info in archive.infolist():
            if info.filename.startswith("samples/") and info.filename.endswith(".json"):
                yield _sample(archive, info)


def _sample(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Json | Trouble:
    if info.file_size > LARGEST:
        return Trouble(None, f"a sample of more than {LARGEST >> 20} MB")
    try:
        value = decode(archive.read(info))
    except (ValueError, OSError, NotImplementedError, EOFError, zipfile.BadZipFile) as error:
        return Trouble(None, f"a sample that cannot be read ({type(error).__name__})")
    return value if isinstance(value, dict) else Trouble(None, "a sample that is no object")


def _events(sample: Json) -> Iterator[Json]:
    """The calls of Claude models that were sent and have ended, whole."""
    attachments, pool = table(sample.get("attachments")), table(sample.get("events_data")).get("calls")
    events = sample.get("events")
    for event in events if isinstance(events, list) else []:
        if not isinstance(event, dict) or event.get("event") != "model" or event.get("pending"):
            continue
        if event.get("cache") != "read" and "claude" in (text(event.get("model")) or ""):
            call = _pooled(table(event.get("call")), pool if isinstance(pool, list) else [])
            yield table(_resolved(event | {"call": call}, attachments))


def _pooled(call: Json, pool: list[Any]) -> Json:
    """The call with its messages, which stand as ranges of the pool."""
    ranges, key = call.get("call_refs"), text(call.get("call_key")) or "messages"
    if not isinstance(ranges, list):
        return call
    held = [one for first, end in (pair for pair in ranges if _is_range(pair)) for one in pool[first:end]]
    return call | {"request": table(call.get("request")) | {key: held}}


def _is_range(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(end, int) and end >= 0 for end in pair)


def _resolved(value: Any, attachments: Json) -> Any:
    if isinstance(value, dict):
        return {name: _resolved(one, attachments) for name, one in value.items()}
    if isinstance(value, list):
        return [_resolved(one, attachments) for one in value]
    is_reference = isinstance(value, str) and value.startswith(_ATTACHMENT)
    return attachments.get(value.removeprefix(_ATTACHMENT), value) if is_reference else value


def _found(exchanges: Exchanges, event: Json) -> Iterator[Found]:
    call = table(event.get("call"))
    answer, evidence = table(call.get("response")), None
    if not ({"stop_reason", "error"} & answer.keys()):
        answer, evidence = _output(table(event.get("output")))
    began = moments.seconds(event.get("timestamp"))
    if began is None or not answer:
        yield Trouble(None, "a model event without a time, or without an answer")
        return
    for found in exchanges.found(_captured(event, answer, began)):
        if isinstance(found, Entry) and evidence:
            found.refusals = [replace(one, evidence=evidence, confidence=0.9) for one in found.refusals]
        yield found


def _captured(event: Json, answer: Json, began: float) -> Captured:
    request = table(table(event.get("call")).get("request"))
    ids = [text(table(one).get("id")) for one in event.get("request_ids") or []]
    told = ((b"request-id", ids[-1].encode("latin-1", "replace")),) if ids and ids[-1] else ()
    model = (text(event.get("model")) or "").rpartition("/")[2]
    return Captured(
        began=began,
        ended=moments.seconds(event.get("completed")),
        request=body(request or {"model": model}),
        exact=False,
        status=400 if "error" in answer else 200,
        told=told,
        answer=body(answer),
        name=None if told else text(event.get("uuid")),
    )


def _output(output: Json) -> tuple[Json, str | None]:
    """Inspect's own output, as the API would have said it, and where it was seen."""
    if said := text(output.get("error")):
        return {"type": "error", "error": {"type": "invalid_request_error", "message": said}}, None
    choices = output.get("choices")
    choice = table(choices[0]) if isinstance(choices, list) and choices else {}
    reason = text(choice.get("stop_reason"))
    if reason is None:
        return {}, None
    answer = {
        "model": output.get("model"),
        "stop_reason": "refusal" if reason == "content_filter" else reason,
        "stop_details": choice.get("stop_details"),
        "usage": output.get("usage"),
    }
    return answer, f"output.choices[0].stop_reason={reason}"
