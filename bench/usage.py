"""What a process and its children have used, from /proc. Linux only."""

from collections.abc import Sequence
from pathlib import Path


def tree(pid: int) -> list[int]:
    """The process and all its descendants that are alive."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        if fields := _stat(int(entry.name)):
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for parent in found:
        found += parents.get(parent, [])
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """Time on a processor, of all threads of the processes, to the nanosecond.

    Ticks (``/proc/PID/stat``) would not do: they are samples, and events that come every 10 ms come in step with them.
    """
    return sum(_on_processor(path) for pid in pids for path in Path("/proc").glob(f"{pid}/task/*/schedstat")) / 1e9


def peak_mb(pids: Sequence[int]) -> float:
    """Peak resident memory (VmHWM) in MiB, summed over the processes."""
    return sum(map(_peak_kb, pids)) / 1024


def _on_processor(path: Path) -> int:
    try:
        return int(path.read_text().split()[0])
    except OSError:
        return 0


def _stat(pid: int) -> list[str]:
    """The fields after the name: state, parent, ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _peak_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
