"""Places and clocks for the tests of the commands."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import free_port


@pytest.fixture(autouse=True)
def _no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "demur.db"


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing of ours is set."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for variable in ("ANTHROPIC_BASE_URL", "HTTPS_PROXY", "https_proxy", "NODE_EXTRA_CA_CERTS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DEMUR_LISTEN", f"127.0.0.1:{free_port()}")
    return tmp_path
