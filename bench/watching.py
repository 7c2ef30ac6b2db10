"""A command, watched until it ends: how long it took, and what all its processes used."""

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from bench.contestants import ROOT
from bench.measures import BrokenError
from bench.usage import peak_mb, tree

POLL_S = 0.1


class Watched(Struct):
    """One run."""

    out: str
    code: int
    seconds: float
    """From its start to its end."""
    cpu_s: float
    """On a processor, of all its processes: those that it has waited for are in what ``wait4`` tells."""
    peaks_mb: list[float]
    """The highest resident memory (VmHWM) of each process in MiB, the first its own, the others in order of size.

    Seen every tenth of a second; so a process that grew in its last tenth may have had some more. What ``wait4`` tells of the
    largest of them is exact, and the figure of that one is no less.
    """

    @property
    def peak_mb(self) -> float:
        """Of all together: no less than what they had at any one time."""
        return sum(self.peaks_mb)


def watched(command: Sequence[str], env: Mapping[str, str], folder: Path, most_s: float) -> Watched:
    """Runs it in `folder`. Raises BrokenError where it takes longer than `most_s` seconds."""
    said = folder / "output"
    with said.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        peaks: dict[int, float] = {}
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            for one in tree(process.pid):
                peaks[one] = max(peaks.get(one, 0.0), peak_mb([one]))
            if time.monotonic() - began > most_s:
                _kill(process)
                raise BrokenError(f"it took longer than {most_s:.0f} seconds")
            time.sleep(POLL_S)
        seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    own = peaks.pop(process.pid, 0.0)
    every = [own, *sorted(peaks.values(), reverse=True)]
    largest = every.index(max(every))
    every[largest] = max(every[largest], usage.ru_maxrss / 1024)
    return Watched(
        said.read_text(errors="replace"), process.returncode, seconds, usage.ru_utime + usage.ru_stime, every
    )


def _kill(process: "subprocess.Popen[bytes]") -> None:
    for pid in tree(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    process.wait()
