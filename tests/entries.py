"""Entries to store, and disks to store them on."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

from proxy.adoption import adopt
from proxy.spool import spool_folder
from proxy.store import Store
from schemas.labels import Kind, Result
from schemas.records import Attempt, Entry, Pin, Refusal, Segment, Traffic

HOUR = Traffic(hour="2026-11-23T14", model="claude-opus-5", outcome="refused")


def name(n: int) -> str:
    return f"01JD{n:022d}"


def refusal(n: int, **fields: Any) -> Refusal:
    given: dict[str, Any] = {
        "id": name(n),
        "at": f"2099-11-23T14:{n // 60 % 60:02}:{n % 60:02}.324Z",
        "source": "gateway",
        "kind": Kind.REFUSAL,
        "evidence": "message_delta.stop_reason",
        "confidence": 1.0,
    }
    return Refusal(**(given | fields))


def pin(key: str = "k", **fields: Any) -> Pin:
    """A conversation that another model answers, in a year that has not ended."""
    given: dict[str, Any] = {
        "key": key,
        "session_id": "s",
        "model": "claude-opus-5",
        "answered_by": "claude-opus-4-8",
        "at": "2099-11-23T14:00:00.000Z",
        "until": "2099-11-23T15:00:00.000Z",
    }
    return Pin(**(given | fields))


def key(content: bytes) -> str:
    return f"b2:{blake2b(content, digest_size=16).hexdigest()}"


def entry(n: int, *contents: bytes, traffic: int = 1, **fields: Any) -> Entry:
    """A declined request of these segments. It counts once, so that a repeated one is noticed."""
    keys = [key(content) for content in contents]
    segments = [
        Segment(n=i, label="user_text", path=f"messages[{i}]", bytes=len(contents[i]), tokens_est=1, hash=k, content=k)
        for i, k in enumerate(keys)
    ]
    skeleton: list[bytes | str] = [b'{"messages":['] + [part for k in keys for part in (k, b",")] + [b"]}"]
    return Entry(
        refusals=[refusal(n, **fields)],
        attempts=[Attempt(n=0, by="client", model="claude-opus-5", outcome=Result.REFUSED, category="cyber")],
        segments=segments,
        contents=dict(zip(keys, contents, strict=True)),
        skeleton=skeleton if contents else None,
        traffic=[(HOUR, traffic)] if traffic else [],
    )


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def until(what: Callable[[], Any], seconds: float = 30.0) -> None:
    """Waits for something that has to happen. How long it takes decides nothing but a failure."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process of ours. Its stdout can be read; it is the test's to wait for or to kill."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


@contextmanager
def stored(path: Path) -> Iterator[Store]:
    """The store with what dead processes left in their spools, as the commands that read are shown it."""
    with Store.open(path) as store:
        adopt(store, spool_folder(path))
        yield store


def untraced() -> dict[str, str]:
    """An environment for a process that a signal interrupts: one that comes while coverage holds its lock would hang it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


@contextmanager
def disk(folder: Path, size: str = "2m") -> Iterator[Path]:
    """A small disk of its own. Skips where this machine does not let us mount one."""
    folder.mkdir()
    if os.name != "posix" or os.geteuid() != 0 or _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder):
        pytest.skip("a small disk can only be mounted by root, where mounting is allowed")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def remount(folder: Path, mode: str) -> None:
    assert _mount("-o", f"remount,{mode}", folder) == 0


def _mount(*arguments: object) -> int:
    return subprocess.run(["mount", *map(str, arguments)], check=False, stderr=subprocess.DEVNULL).returncode


def fill(folder: Path) -> Path:
    """Takes all the space there is."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler
