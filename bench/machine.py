"""What the figures were taken on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def machine() -> dict[str, object]:
    """Its processors, its load in the last minute, and what runs on it."""
    packages = {name: version(name) for name in ("aiohttp", "httptools", "mitmproxy", "uvloop")}
    models = [
        line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    cpu = {"cpus": len(models), "cpu": models[0] if models else "", "load": os.getloadavg()[0]}
    return cpu | {"python": platform.python_version()} | packages
