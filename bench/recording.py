"""``python -m bench.recording CLAUDE...``: records the seeds afresh. Each CLAUDE is a program of Claude Code, of a version of its own.

The real Claude Code plays sessions with the pretend API on loopback, in homes that are thrown away: it works with tools on files of this
repository, has an agent work, is declined in several ways, and meets errors that are no refusals. What it leaves under
``.claude/projects`` becomes ``bench/seeds.tar.xz``, with the home's path made ``/home/dev``. What was declined is written down by what the API
answered, not by what an importer reads.
"""

import json
import shutil
import struct
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.seeds import ARCHIVE, INDEX, filler

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from e2e_claude import claude, folder, version  # noqa: E402 - of the tests, as are the others
from e2e_plays import FABLE, Play, facts, word  # noqa: E402
from e2e_process import Api, in_thread  # noqa: E402
from proxy.pretend import SCENARIOS, Options, Received, Rule  # noqa: E402
from proxy.pretend.asked import Asked  # noqa: E402
from proxy.pretend.reply import Json, Reply  # noqa: E402
from proxy.pretend.scenarios import text, thinking, tool_use  # noqa: E402

WORKER, DECLINED = "<work in the agent>", "<declined in the agent>"
SOURCES = ("proxy/core/detect.py", "schemas/labels.py", "proxy/importers/turns.py", "proxy/importers/lines.py")
_WHY = 'explanation="It could enable harm."'
PLAYS = {
    "work": Play(("bench_work",), 0),
    "agent-work": Play(("bench_agent",), 0),
    "quoted": Play(("quote",), 0),
    "overloaded": Play(("overloaded times=1",), 0),
    "failed": Play(("http_error status=400",), 0),
    "declined": Play((f"refusal {_WHY}",), 1),
    "declined-midway": Play((f"refusal_mid category=bio {_WHY}",), 1, "bio"),
    "declined-after-tool": Play((f"refusal_after_tool {_WHY}",), 1),
    "declined-after-call": Play((f"refusal_tool_complete {_WHY}", "answer"), 1),
    "declined-unnamed": Play(("refusal_null_category",), 1, None),
    "filtered": Play(("output_filter",), 1, None),
    "fallback-of-the-api": Play(("api_fallback",), 1),
    "fallback-of-the-client": Play((f"refusal {_WHY}", "answer"), 1, model=FABLE),
    "agent-declined": Play(("bench_agent_declined",), 1),
}
OWN = ("attachment", "api-request-shape", "api-request-blob")
LONG = ("attachment", "rendered", "shape", "message")
"""Members of such lines."""
SHORT = 20
"""Characters of what is kept of them: names and ids."""
ONCE = ("quoted", "failed", "overloaded")
"""Recorded with the first program only."""


def _steps() -> list[tuple[Json, ...]]:
    """What a working session answers, a tool after the other."""
    said = "The tests of this module pass, but one branch is never taken, so I look at where its values come from. "
    return [
        (thinking(said * 3), text(said), tool_use("Bash", 0, command="ls -la", description="List the files")),
        (text("First the module itself. "), tool_use("Read", 1, file_path="detect.py")),
        (tool_use("Bash", 2, command="grep -n 'def ' *.py", description="Find the functions"),),
        (thinking(said * 5), tool_use("Read", 3, file_path="labels.py", offset=1, limit=60)),
        (text(said), tool_use("Edit", 4, file_path="lines.py", old_string="_PIECE = 1 << 20", new_string="_PIECE = 1 << 16")),
        (tool_use("Bash", 5, command="cat turns.py", description="Show what calls it"),),
        (text("There is a picture of it. "), tool_use("Read", 6, file_path="plot.png")),
        (text("It reads in pieces of 64 kB now.\n\n" + said * 6),),
    ]  # fmt: skip


def _work(asked: Asked, options: Options) -> Reply:
    steps = _steps()
    blocks = steps[min(asked.calls, len(steps) - 1)]
    stop = "tool_use" if blocks[-1]["type"] == "tool_use" else "end_turn"
    return Reply(model=asked.model, blocks=blocks, stop_reason=stop, input_tokens=asked.input_tokens)


def _look(asked: Asked, options: Options) -> Reply:
    """In the agent: two tools, and an answer."""
    steps = [_steps()[1], _steps()[2][-1:], _steps()[-1]]
    number = min(asked.calls, 2)
    stop = "end_turn" if number == 2 else "tool_use"
    return Reply(model=asked.model, blocks=steps[number], stop_reason=stop, input_tokens=asked.input_tokens)


def _asks(prompt: str) -> object:
    def agent(asked: Asked, options: Options) -> Reply:
        if asked.tool_result:
            return Reply(model=asked.model, blocks=_steps()[-1], input_tokens=asked.input_tokens)
        call = tool_use("Agent", description="Look", prompt=f"Look. {prompt}", subagent_type="general-purpose")
        blocks = (text("I have it looked at. "), call)
        return Reply(model=asked.model, blocks=blocks, stop_reason="tool_use", input_tokens=asked.input_tokens)

    return agent


SCENARIOS |= {"bench_work": _work, "bench_look": _look}
SCENARIOS |= {"bench_agent": _asks(WORKER), "bench_agent_declined": _asks(DECLINED)}  # type: ignore[dict-item]


def _rules() -> Iterator[Rule]:
    yield Rule(word=WORKER, play="bench_look")
    yield Rule(word=DECLINED, play=f"refusal {_WHY}")
    for name, play in PLAYS.items():
        yield from (Rule(word=word(name), play=line, times=1) for line in play.lines[:-1])
        yield Rule(word=word(name), play=play.lines[-1])


def _picture(path: Path) -> None:
    """A PNG of 64 by 64 points of noise."""
    points = b"".join(b"\0" + bytes((x * y * 31 + x * 7 + y * y) % 251 for x in range(64)) for y in range(64))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(points)),
        (b"IEND", b""),
    )
    made = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(made))


def _record(program: Path, name: str, home: Path) -> list[list[str | None]]:
    """Plays one session; what was declined in it: kind, category."""
    work = folder(home)
    for source in SOURCES:
        shutil.copy(ROOT / source, work)
    _picture(work / "plot.png")
    play = PLAYS[name]
    with in_thread(Api(rules=list(_rules()))) as api:
        options = ("--model", play.model, "--allowedTools", "Bash Read Edit Agent")
        ran = claude(program, home, f"Please look at lines.py. {word(name)}", *options, ANTHROPIC_BASE_URL=api.url)
        told: dict[str | None, Received] = {
            one.request_id: one.received for one in api.told if "/messages" in one.received.target
        }
    print(f"{version(program)} {name}: {ran.code}, {len(told)} requests")
    return [[str(fact.kind), fact.category] for fact in facts(play, told).values()]


def _keep(home: Path, into: Path) -> None:
    """Its transcripts, with paths that tell nothing of this machine."""
    (projects,) = (home / ".claude" / "projects").iterdir()
    names = ((str(home), "/home/dev"), (str(home).replace("/", "-").replace("_", "-"), "-home-dev"))
    for path in sorted(projects.rglob("*.jsonl")):
        said = path.read_text()
        for name, plain in names:
            said = said.replace(name, plain)
        kept = into / path.relative_to(projects)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text("".join(map(_line, said.splitlines())))


def _line(said: str) -> str:
    """A line; of what the client itself says to the model only how long it is: those words are its maker's."""
    line = json.loads(said)
    if line["type"] in OWN:
        line = {name: _without_words(value) if name in LONG else value for name, value in line.items()}
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"


def _without_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_words(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_words(item) for item in value]
    return filler(len(value)) if isinstance(value, str) and len(value) > SHORT else value


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="demur-bench-") as name:
        folder_, index = Path(name) / "seeds", {}
        for number, program in enumerate(map(Path, sys.argv[1:])):
            for play in PLAYS:
                if number and play in ONCE:
                    continue
                seed, home = f"{play}-{version(program)}", Path(name) / f"{play}-{number}"
                index[seed] = _record(program, play, home)
                _keep(home, folder_ / seed)
        (folder_ / INDEX).write_text(json.dumps(index, indent=1) + "\n")
        _pack(folder_)


def _pack(folder_: Path) -> None:
    with tarfile.open(ARCHIVE, "w:xz") as archive:
        for path in sorted(folder_.rglob("*.json*")):
            member = tarfile.TarInfo(str(path.relative_to(folder_)))
            member.size = path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(member, file)


if __name__ == "__main__":
    main()
