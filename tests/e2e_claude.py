"""The real Claude Code as a client: where it is, how it is run, and what of its output differs from run to run."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

KEY = "sk-ant-api03-e2e0KEY0that0nobody0may0keep0AAAA"
"""The pretend API takes any."""
PLANTED = "sk-ant-api03-e2e0PLANTED0in0the0prompt0BBBB"
"""Stands in every prompt."""
OLDEST = "2.1.197"
"""The version that the expectations about its own behaviour were seen with."""


class Ran(NamedTuple):
    """How one run ended."""

    code: int
    out: str
    err: str


def environment(home: Path, **more: str) -> dict[str, str]:
    """All that Claude Code gets to see: a home of its own, a key that is none, and no telemetry."""
    own = {
        "PATH": os.defpath,
        "HOME": str(home),
        "ANTHROPIC_API_KEY": KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    return own | more


def claude(program: Path, home: Path, prompt: str, *options: str, **more: str) -> Ran:
    """``claude -p``, in an empty folder of ``home``. ``more`` goes into its environment."""
    command = [str(program), "-p", prompt, *options]
    return ran(command, env=environment(home, **more), cwd=folder(home))


def folder(home: Path) -> Path:
    work = home / "work"
    work.mkdir(parents=True, exist_ok=True)
    return work


def ran(command: list[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Ran:
    """Raises TimeoutExpired after a minute: none of ours takes long, unless it hangs."""
    done = subprocess.run(
        command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def version(program: Path) -> str:
    return ran([str(program), "--version"], env={"PATH": os.defpath, "HOME": "/nonexistent"}).out.split()[0]


_DIFFERS = re.compile(r"_ms$|^(timestamp|end_time|messaging_socket_path)$")
_NAMES = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\b(req|msg)_01[0-9A-Za-z]+"), r"\1_ID"),
    (re.compile(r"\ba[0-9a-f]{16}\b"), "AGENT"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
)


def normal(out: str, home: Path) -> list[Any]:
    """The lines of an output, those that are JSON read, without what differs between two runs by nature."""
    return [_value(line, home) for line in out.splitlines()]


def _value(line: str, home: Path) -> Any:
    try:
        return _plain(json.loads(line), home)
    except ValueError:
        return _plain(line, home)


def _plain(value: Any, home: Path) -> Any:
    if isinstance(value, dict):
        return {key: 0 if _DIFFERS.search(key) else _plain(item, home) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, home) for item in value]
    if not isinstance(value, str):
        return value
    value = value.replace(str(home), "HOME").replace(str(home).replace("/", "-").replace("_", "-"), "-HOME")
    for pattern, name in _NAMES:
        value = pattern.sub(name, value)
    return value
