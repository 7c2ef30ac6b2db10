"""What holds for every test: a place of its own, and no blocking call of ours in an event loop."""

import os
from collections.abc import Iterator
from inspect import iscoroutinefunction

import pytest
import structlog
from blockbuster import BlockingError, blockbuster_ctx
from hypothesis import settings

# No timing decides a test, and in CI the same examples are tried every time.
settings.register_profile("demur", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("demur")

_OF_THE_TESTS = {"DEMUR_CLAUDE", "DEMUR_E2E"}
_PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}


@pytest.fixture(scope="session", autouse=True)
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the developer's own files, settings, key or proxy; its subprocesses neither."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            mine = name.startswith(("DEMUR_", "ANTHROPIC_", "CLAUDE")) and name not in _OF_THE_TESTS
            if mine or name.upper() in _PROXIES:
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        for name in ("CONFIG", "DATA", "STATE", "CACHE"):
            patch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
        yield


@pytest.fixture(autouse=True)
def unlogged() -> Iterator[None]:
    """How a command that ran in this process set up its log is undone."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def unblocked(request: pytest.FixtureRequest) -> Iterator[None]:
    """A call from our code that blocks an event loop fails the test, even where rule zero swallowed the error."""
    if not iscoroutinefunction(getattr(request, "function", None)):
        yield
        return
    seen: list[str] = []

    class SeenError(BlockingError):
        def __init__(self, func: str) -> None:
            seen.append(func)
            super().__init__(func)

    with pytest.MonkeyPatch.context() as patch, blockbuster_ctx(["proxy", "addons"]) as guard:
        patch.setattr("blockbuster.blockbuster.BlockingError", SeenError)
        # The one write that may block: a refusal is in the spool before its last event goes to the client.
        for name, function in guard.functions.items():
            if name.startswith("os."):
                function.can_block_in("proxy/writer.py", "put")
            # What measures the coverage has a lock of its own, and is called from everywhere.
            function.can_block_in("coverage/collector.py", "lock_data")
        yield
    assert not seen, f"blocking calls in the event loop: {seen}"
