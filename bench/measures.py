"""The measures: for each a job of the load, and what of the contestant is read beside it.

CPU is user and system time of the contestant's processes between the job's first and last event; memory is their peak
since they were started, read while all streams are open, before any other measure.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from bench.contestants import ROOT, Running
from bench.load import Job, Seen
from bench.usage import cpu_seconds, peak_mb

KB = 1000
PER = 100_000

PAUSE_S, CALM = 0.25, 6
"""A contestant is quiet when it did next to nothing in so many pauses: demur reads what was accepted a second later."""
QUIET_S = 0.02
PATIENCE_S = 6.0

type Figures = dict[str, float]


class Scale(Struct, frozen=True, kw_only=True):
    """How much of everything."""

    seconds: float = 2.0
    """Of a closed measure, at most."""
    requests: int = 3000
    """Of a closed measure, at most."""
    streams: int = 50
    paced_events: int = 250
    paced_ms: int = 10
    burst_events: int = 5_000
    held_streams: int = 200
    held_events: int = 12
    held_ms: int = 200


class BrokenError(Exception):
    """The load saw answers that were not those of the upstream; the message says how many."""


def measure(running: Running, scale: Scale) -> Figures:
    """All figures of one contestant that was just started. Raises BrokenError."""
    figures: Figures = {}
    for take in (_memory, _requests_small, _requests_large, _paced, _burst):
        figures |= take(running, scale)
        afterwards = settled(running)
        if take is _memory:
            figures["cpu_ms_afterwards"] = afterwards * 1000 / scale.held_streams
    return figures


def settled(running: Running) -> float:
    """Waits until nothing more is done of what was asked, for some seconds at most; the CPU seconds that it took."""
    marks = [cpu_seconds(running.pids)]
    for _ in range(round(PATIENCE_S / PAUSE_S)):
        time.sleep(PAUSE_S)
        marks.append(cpu_seconds(running.pids))
        if len(marks) > CALM and marks[-1] - marks[-1 - CALM] < QUIET_S:
            break
    return marks[-1] - marks[0]


def _memory(running: Running, scale: Scale) -> Figures:
    count = scale.held_events
    job = _job(running, f"?paced={count},{scale.held_ms}", count, streams=scale.held_streams)
    peak: list[float] = []
    _run(job, opened=lambda: peak.append(peak_mb(running.pids)))
    return {"peak_mb": peak[0]}


def _requests_small(running: Running, scale: Scale) -> Figures:
    return _requests(running, scale, "76k", 76 * KB, 8)


def _requests_large(running: Running, scale: Scale) -> Figures:
    return _requests(running, scale, "1m", 1000 * KB, 4)


def _requests(running: Running, scale: Scale, name: str, body: int, connections: int) -> Figures:
    job = Job(
        port=running.port,
        target="/v1/messages?short",
        deltas=12,
        body=body,
        connections=connections,
        count=scale.requests,
        seconds=scale.seconds,
    )
    _run(replace(job, count=connections * 2))
    seen, cpu = _timed(running, job)
    return {
        f"requests_per_s_{name}": seen.answers / seen.seconds,
        f"cpu_ms_per_request_{name}": cpu * 1000 / seen.answers,
    }


def _paced(running: Running, scale: Scale) -> Figures:
    count, every = scale.paced_events, scale.paced_ms
    seen, cpu = _timed(running, _job(running, f"?paced={count},{every}", count, streams=scale.streams))
    return {
        "cpu_s_per_100k_paced": cpu * PER / seen.events,
        "delay_ms": seen.delay_ms,
        "delay_p99_ms": seen.delay_p99_ms,
        "first_event_ms": seen.first_ms,
    }


def _burst(running: Running, scale: Scale) -> Figures:
    count = scale.burst_events
    job = _job(running, f"?burst={count}", count, streams=4)
    seen, cpu = _timed(running, replace(job, body=KB, count=1000, seconds=scale.seconds))
    return {"burst_mb_per_s": seen.bytes / 1e6 / seen.seconds, "cpu_s_per_100k_burst": cpu * PER / seen.events}


def _job(running: Running, query: str, deltas: int, *, streams: int) -> Job:
    return Job(port=running.port, target=f"/v1/messages{query}", deltas=deltas, body=76 * KB, connections=streams)


def _timed(running: Running, job: Job) -> tuple[Seen, float]:
    marks = [cpu_seconds(running.pids)]
    seen = _run(job, opened=lambda: marks.append(cpu_seconds(running.pids)))
    return seen, cpu_seconds(running.pids) - marks[-1]


def _run(job: Job, *, opened: Callable[[], None] = lambda: None) -> Seen:
    """Runs the load; `opened` is called once all its streams are open."""
    command = [sys.executable, "-m", "bench.load", msgspec.json.encode(job).decode()]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines: Iterator[str] = iter(process.stdout)
        for line in lines:
            if line != "open\n":
                return _checked(msgspec.json.decode(line, type=Seen))
            opened()
    raise BrokenError("the load ended without a word")


def _checked(seen: Seen) -> Seen:
    if seen.errors or not seen.answers:
        raise BrokenError(f"{seen.errors} of {seen.errors + seen.answers} answers were not whole")
    return seen
