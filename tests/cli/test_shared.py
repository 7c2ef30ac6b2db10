import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from commands import demur, fails, keep, on_terminal, posix
from entries import entry, pin
from proxy.cli.options import Failed, Misused, one_line_errors
from schemas.records import Entry


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["show", "last"],
        ["stats"],
        ["retry", "--explain", "last"],
        ["sticky", "list"],
        ["sticky", "clear"],
        ["run", "true"],
        ["db", "path"],
        ["db", "vacuum"],
        ["db", "verify"],
    ],
    ids=str,
)
def test_settings_that_cannot_be_used_are_told_in_one_line(command: list[str], tmp_path: Path) -> None:
    assert "there is no config file" in fails(demur(*command, "--config", tmp_path / "none.toml"))


def test_our_own_errors_are_one_line_without_secrets_and_others_are_not_hidden() -> None:
    from proxy.upstream import UpstreamError

    @click.command()
    @click.argument("what")
    @one_line_errors
    def fail(what: str) -> None:
        raise {
            "ours": UpstreamError("cannot reach https://me:hunter2@host/?token=abcdef\nat all"),
            "click's": click.ClickException("no"),
            "usage": click.UsageError("wrong"),
            "failed": Failed("so it is"),
            "misused": Misused("so it is"),
            "bug": ZeroDivisionError("a bug"),
        }[what]

    def run(what: str) -> Result:
        return CliRunner().invoke(fail, [what])

    assert fails(run("ours")) == r"demur: cannot reach https://[hidden]@host/?[hidden]\nat all"
    assert fails(run("click's")) == "demur: no"
    assert fails(run("failed")) == "demur: so it is"
    assert fails(run("misused"), code=2) == "demur: so it is"
    assert run("usage").exit_code == 2
    assert isinstance(run("bug").exception, ZeroDivisionError)


def test_a_terminal_without_a_character_gets_its_escape(db: Path) -> None:
    keep(db, entry(1, project="ノート"))
    done = subprocess.run(
        [sys.executable, "-m", "proxy.cli", "list", "--db", db],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
    )
    assert rb"\u30ce\u30fc\u30c8" in done.stdout


@posix
@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["list", "--json"],
        ["show", "last", "--full"],
        ["stats"],
        ["retry", "--explain", "last"],
        ["sticky", "list"],
        ["doctor", "--offline"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("both", [False, True])
def test_a_reader_that_has_seen_enough_is_no_failure(db: Path, command: list[str], *, both: bool) -> None:
    keep(db, entry(1), entry(2))
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [sys.executable, "-m", "proxy.cli", *command, "--db", db],
        cwd=Path(__file__).parents[2],
        stdout=theirs,
        stderr=theirs if both else subprocess.PIPE,
        check=False,
    )
    os.close(theirs)
    assert done.returncode == 0
    assert not done.stderr


def test_another_pipe_that_breaks_is_not_hidden() -> None:
    @click.command()
    @one_line_errors
    def fail() -> None:
        raise BrokenPipeError("not the output")

    with pytest.raises(BrokenPipeError):
        CliRunner().invoke(fail, standalone_mode=False, catch_exceptions=False)


@pytest.mark.parametrize(
    "command",
    "list,show,stats,retry,sticky,sticky list,sticky clear,run,up,doctor,db,db path,db vacuum,db verify".split(","),
)
def test_every_help_has_an_example(command: str) -> None:
    assert "Example: " in demur(*command.split(), "--help").stdout


def test_help_and_list_load_nothing_heavy(db: Path) -> None:
    keep(db, entry(1))
    code = (
        "import sys\n"
        "import proxy.cli.listing, proxy.cli.showing, proxy.cli.doctoring, proxy.cli.database\n"
        "import proxy.cli.counting, proxy.cli.explaining, proxy.cli.staying, proxy.cli.group\n"
        "heavy = {'aiohttp', 'mitmproxy', 'structlog', 'rich', 'asyncio', 'jinja2'}\n"
        "print(sorted((heavy | {'sqlite_utils', 'msgspec'}) & set(sys.modules)))\n"
        "for command in (proxy.cli.listing.list_, proxy.cli.counting.stats, proxy.cli.staying.list_):\n"
        "    command(['--db', sys.argv[1]], standalone_mode=False)\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, db],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    printed = done.stdout.splitlines()
    assert printed[0] == "[]"
    assert printed[-1] == "[]"


@pytest.mark.parametrize(
    ("given", "meant"),
    [(["lst"], "list"), (["stat"], "stats"), (["db", "verfy"], "verify"), (["sticky", "clera"], "clear")],
    ids=str,
)
def test_a_command_that_is_not_there_names_the_one_that_was_meant(given: list[str], meant: str) -> None:
    result = demur(*given)
    assert result.exit_code == 2
    assert f"No such command '{given[-1]}'. Did you mean '{meant}'?" in result.stderr


def test_a_command_like_no_other_is_told_without_a_guess(db: Path) -> None:
    result = demur("xyzzy\x1b")
    assert result.exit_code == 2
    assert "No such command" in result.stderr
    assert "Did you mean" not in result.stderr
    assert "\x1b" not in result.stderr


@posix
def test_the_newer_tables_have_colour_for_terminals_that_want_it(db: Path) -> None:
    keep(db, entry(1), Entry(pins=[pin()]))
    for command in (["stats"], ["retry", "--explain", "last"], ["sticky", "list"]):
        assert "\x1b[" in on_terminal(100, *command, "--db", db)
        assert "\x1b[" not in on_terminal(100, *command, "--db", db, NO_COLOR="1")
        assert "\x1b[" not in demur(*command, db=db).stdout
