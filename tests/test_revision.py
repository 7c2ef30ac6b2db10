"""A settings file that is no longer what was read is told of, once for each change."""

import os
from pathlib import Path

import pytest
import structlog

from proxy.revision import Changes, revision


@pytest.fixture
def config(tmp_path: Path) -> Path:
    config = tmp_path / "demur.toml"
    config.write_text("drain_s = 1\n")
    return config


def test_each_change_is_told_once(config: Path) -> None:
    told: list[Path] = []
    changes = Changes(config, revision(config), told.append)
    changes.look()
    assert told == []
    for n, text in enumerate(("drain_s = 2\n", "drain_s = 3\n"), start=1):
        config.write_text(text)
        changes.look()
        changes.look()
        assert told == [config] * n
    config.unlink()
    changes.look()
    changes.look()
    assert len(told) == 3


def test_what_is_again_as_it_was_read_is_no_change_and_the_next_one_is(config: Path) -> None:
    told: list[Path] = []
    changes = Changes(config, revision(config), told.append)
    config.write_text("drain_s = 1\n")
    os.utime(config, (1, 1))
    changes.look()
    assert told == []
    for text in ("drain_s = 2\n", "drain_s = 1\n", "drain_s = 2\n"):
        config.write_text(text)
        changes.look()
    assert told == [config] * 2


def test_a_file_that_was_not_there_is_a_change_once_it_is(tmp_path: Path) -> None:
    told: list[Path] = []
    config = tmp_path / "demur.toml"
    changes = Changes(config, revision(config), told.append)
    changes.look()
    assert told == []
    config.write_text("")
    changes.look()
    assert told == [config]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_a_pipe_is_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert revision(tmp_path / "pipe") == revision(tmp_path) == ""


def test_without_a_listener_the_log_is_told(config: Path) -> None:
    structlog.reset_defaults()  # a command that another test ran may have set a level
    changes = Changes(config, "of another text")
    with structlog.testing.capture_logs() as lines:
        changes.look()
        changes.look()
    (line,) = lines
    assert (line["event"], line["log_level"], line["file"]) == ("settings.changed", "warning", str(config))
    assert line["todo"] == "start demur again to use them"
