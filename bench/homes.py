"""A home folder as large as is asked for, of copies of the seeds, and what was declined in it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import BinaryIO, NamedTuple

from bench.seeds import Copy, Seed, seeds

MB = 1_000_000
LARGEST = 100 * MB
"""A fifth of a home is in files as large as this, or as a fifth of the home."""
DECLINED = 0.08
"""Share of the prompts that are declined: about one request in a hundred, as most prompts make several."""
WORK = ("work-", "agent-work-")
WORKING = 0.95
"""Share of the others in which there is work to do. In the rest a refusal is quoted, or the API is at fault."""

type Facts = Counter[tuple[str, str, str | None]]
"""Session, kind and category of what was declined."""


class Home(NamedTuple):
    """What was written."""

    files: int
    bytes: int
    prompts: int
    declined: Facts


class Writer:
    """Writes sessions into a folder of projects."""

    def __init__(self, projects: Path, seed: int = 5) -> None:
        self._projects, self._chance, self._n = projects, Random(seed), 0
        self.files = self.bytes = 0
        self.declined: Facts = Counter()
        every = seeds()
        self._refusals = [one for one in every if one.declined]
        self._work = [one for one in every if one.name.startswith(WORK)]
        self._other = [one for one in every if not one.declined and one not in self._work]

    def session(self, size: int) -> Path:
        """One session whose own file has at least so many bytes."""
        session = f"{self._n:08x}-{self._chance.getrandbits(16):04x}-4000-8000-{self._chance.getrandbits(48):012x}"
        path = self._projects / f"-home-dev-work-{self._n % 7}" / f"{session}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        parent: str | None = None
        with path.open("wb") as file:
            while parent is None or file.tell() < size:
                parent = self.prompt(file, path.with_suffix(""), Copy(self._n, session, parent))
        self.files += 1
        return path

    def prompt(self, file: BinaryIO, beside: Path, copy: Copy, seed: Seed | None = None) -> str:
        """One more copy in the session's own file; its last line."""
        seed = seed or self._drawn()
        self._n += 1
        parts = seed.again if copy.parent else seed.whole
        for part in parts:
            data = part.written(copy)
            self.bytes += len(data)
            if part.agent:
                path = beside / "subagents" / f"agent-a{copy.n:08x}{part.agent.removeprefix('agent-a')[8:]}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                self.files += 1
            else:
                file.write(data)
        self.declined.update((copy.session, kind, category) for kind, category in seed.declined)
        return f"{copy.n:08x}{parts[0].last[8:]}"

    def home(self) -> Home:
        return Home(self.files, self.bytes, self._n, self.declined)

    def _drawn(self) -> Seed:
        if self._chance.random() < DECLINED:
            return self._chance.choice(self._refusals)
        return self._chance.choice(self._work if self._chance.random() < WORKING else self._other)


def write(projects: Path, size: int, seed: int = 5) -> Home:
    """A home of about so many bytes: a fifth in the largest files, a third in those of some MB, the rest in small ones."""
    writer, chance = Writer(projects, seed), Random(seed)
    for one in _sizes(size, chance):
        if writer.bytes >= size:
            break
        writer.session(one)
    return writer.home()


def _sizes(size: int, chance: Random) -> Iterator[int]:
    largest = min(LARGEST, size // 5)
    yield from [largest] * max(1, size // 5 // largest)
    left = size // 3
    while left > 0:
        yield (one := chance.randint(largest // 50, largest // 8))
        left -= one
    while True:
        yield int(20_000 * 50 ** chance.random())


def with_a_line(projects: Path, length: int, lines: int = 1) -> Home:
    """A session in which a tool gives back lines of so many bytes before something is declined."""
    writer = Writer(projects)
    first = next(one for one in seeds() if one.name.startswith("work-"))
    last = next(one for one in seeds() if one.name.startswith("declined-2"))
    session = "00000000-0000-4000-8000-000000000000"
    path = projects / "-home-dev-work" / f"{session}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        parent = writer.prompt(file, path.with_suffix(""), Copy(0, session), first)
        for n in range(lines):
            parent = _result(file, session, parent, n, length)
        writer.prompt(file, path.with_suffix(""), Copy(1, session, parent), last)
    return writer.home()._replace(files=1, bytes=path.stat().st_size)


def _result(file: BinaryIO, session: str, parent: str, n: int, length: int) -> str:
    uuid = f"ffffffff-{n:04x}-4000-8000-000000000000"
    file.write(
        f'{{"parentUuid":"{parent}","isSidechain":false,"type":"user","uuid":"{uuid}","timestamp":"2025-09-01T00:01:00.000Z",'
        f'"sessionId":"{session}","version":"2.1.330","cwd":"/home/dev/work","message":{{"role":"user","content":['
        f'{{"type":"tool_result","tool_use_id":"toolu_01{n}","content":"'.encode()
    )
    piece = b"a line of a log that a tool gave back, number 12345; " * 20_000
    left = length
    while left > 0:
        left -= file.write(piece[:left])
    file.write(b'"}]}}\n')
    return uuid
