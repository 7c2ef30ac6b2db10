"""What is shipped, what it brings, and the names that it takes."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution, entry_points, packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import proxy

ROOT = Path(__file__).parent.parent
OURS = ("proxy", "addons", "schemas")


@cache
def kept_files() -> tuple[Path, ...]:
    """The files that git has, or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    files = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return tuple(file for file in files if file.is_file())


def pins() -> dict[str, str]:
    """The lines of constraints.txt that hold on this Python."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found: dict[str, str] = {}
    for line in lines:
        if line.startswith("#"):
            continue
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():
            (pin,) = requirement.specifier
            assert pin.operator == "==", line
            found[canonicalize_name(requirement.name)] = pin.version
    return found


def brought(name: str, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """The direct requirements of an installed distribution that hold here."""
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        environments = [{"extra": extra} for extra in extras or {""}]
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
            yield canonicalize_name(requirement.name), frozenset(requirement.extras)


def everything_brought() -> set[str]:
    """All that an installed demur[dev] brings, directly or not. pip is each environment's own."""
    todo: list[tuple[str, frozenset[str]]] = [("demur", frozenset({"dev"}))]
    done = set()
    while todo:
        asked = todo.pop()
        if asked not in done:
            done.add(asked)
            todo.extend(brought(*asked))
    return {name for name, _ in done} - {"demur", "pip"}


def lines_with(needle: str, files: tuple[Path, ...]) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}:{number}"
        for file in files
        for number, line in enumerate(file.read_bytes().splitlines(), 1)
        if needle.encode() in line.lower()
    ]


@pytest.mark.parametrize("name", OURS)
def test_no_other_distribution_owns_our_import_names(name: str) -> None:
    assert set(packages_distributions().get(name, [])) <= {"demur"}
    loaded = __import__(name)
    assert Path(loaded.__path__[0]) == ROOT / name


def test_the_command_is_the_cli_of_the_installed_distribution() -> None:
    (command,) = entry_points(group="console_scripts", name="demur")
    assert command.value == "proxy.cli:main"
    assert callable(command.load())


def test_the_version_stands_in_one_place() -> None:
    assert version("demur") == proxy.__version__


def test_what_is_installed_is_what_constraints_txt_pins() -> None:
    needed = everything_brought()
    assert {"mitmproxy", "pytest", "typing-extensions"} <= needed
    assert {name: version(name) for name in needed} == {name: pins().get(name) for name in needed}


def test_mitmproxy_was_not_pushed_back_to_an_old_release(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\nresolved:", *(f"{name} {version(name)}" for name in ("mitmproxy", "aiohttp", "msgspec")))
    assert Version(version("mitmproxy")) >= Version("12.2")


def test_every_runtime_requirement_has_its_reason_in_contributing() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: each for name, each in project["optional-dependencies"].items() if name != "dev"}
    names = [Requirement(text).name for each in (project["dependencies"], *extras.values()) for text in each]
    told = re.findall(r"^\| (?:`\w+` \| )?`([\w-]+)` \| .+ \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(names)


def test_no_file_names_the_address_of_a_package_registry() -> None:
    hosts = [
        ".".join(parts)
        for parts in (
            ("pypi", "org"),
            ("pypi", "python", "org"),
            ("python" + "hosted", "org"),
            ("registry", "npm" + "js", "org"),
            ("registry", "yarn" + "pkg", "com"),
            ("deb", "debian", "org"),
            ("crates", "io"),
        )
    ]
    assert not [where for host in hosts for where in lines_with(host, kept_files())]


def test_no_file_needs_the_folder_that_only_its_authors_have() -> None:
    needles = ["/work/" + "shared", "shared/" + "design", "shared/" + "data", "shared/" + "corpus"]
    assert not [where for needle in needles for where in lines_with(needle, kept_files())]


def test_no_folder_of_tests_is_a_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_no_add_on_is_named_like_a_package_that_could_be_imported() -> None:
    """mitmproxy puts a script's folder first on sys.path: addons/http.py would be everybody's http."""
    importable = set(packages_distributions()) | set(sys.stdlib_module_names) | {"proxy", "schemas"}
    names = {path.stem for path in (ROOT / "addons").iterdir() if path.name != "__init__.py"} - {"__pycache__"}
    assert not names & importable


def test_every_module_of_the_engine_has_its_place_in_the_order_of_imports() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    placed = set(re.findall(r"proxy\.(\w+)", " ".join(layers)))
    modules = {path.stem for path in (ROOT / "proxy").glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in (ROOT / "proxy").glob("*/__init__.py")}
    assert not (modules | packages) - placed


def test_what_the_dockerfile_runs_is_run_by_the_smoke_test() -> None:
    commands = re.findall(r"^RUN (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    smoke = (ROOT / "script" / "smoke").read_text()
    assert commands
    assert not [command for command in commands if command not in smoke]


def test_what_the_dockerfile_copies_is_let_through_by_dockerignore() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    let_through = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(" ".join(copied).split()) == sorted(let_through)


@pytest.mark.parametrize("script", ["run", "test", "lint", "setup", "smoke"])
def test_every_script_can_be_executed_and_is_plain_sh(script: str) -> None:
    path = ROOT / "script" / script
    assert path.stat().st_mode & 0o111 == 0o111
    assert path.read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", path], check=True)


CALLERS = {"proxy/upstream.py", "proxy/resend.py", "proxy/cli/reaching.py", "proxy/cli/demo.py"}
"""The only modules that open a connection: to the upstream, what a person sends again, doctor's check without a request, the demo's to its own gateway."""
_CALLS = re.compile(
    r"create_connection|open_connection|create_datagram_endpoint|ClientSession|urlopen|socket\.socket\("
    r"|import (requests|httpx|smtplib|ftplib|webbrowser|http\.client)|from (http|http\.client|smtplib|webbrowser) import"
)


def test_nothing_but_the_upstream_is_ever_called() -> None:
    files = [path for folder in ("proxy", "addons", "schemas") for path in (ROOT / folder).rglob("*.py")]
    assert {str(path.relative_to(ROOT)) for path in files if _CALLS.search(path.read_text("utf-8"))} == CALLERS
