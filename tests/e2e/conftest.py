"""What the end-to-end tests need of the machine."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def program() -> Path:
    """The real Claude Code that DEMUR_CLAUDE names; one in the PATH is not taken, it may be logged in."""
    named = os.environ.get("DEMUR_CLAUDE", "")
    if not os.access(named, os.X_OK):
        why = f"DEMUR_CLAUDE names no Claude Code: {named!r}"
        pytest.fail(why) if os.environ.get("DEMUR_E2E") == "require" else pytest.skip(why)
    return Path(named)
