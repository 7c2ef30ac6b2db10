"""The commands of demur, one module a noun. Each is loaded when it is asked for, so that ``--help`` stays fast."""

import importlib

import click

from proxy import __version__
from proxy.cli.group import Group

COMMANDS = {
    "run": "proxy.cli.run:run",
    "up": "proxy.cli.up:up",
    "mitm": "proxy.cli.mitm:mitm",
    "list": "proxy.cli.listing:list_",
    "show": "proxy.cli.showing:show",
    "label": "proxy.cli.labelling:label",
    "triage": "proxy.cli.triage:triage",
    "search": "proxy.cli.searching:search",
    "stats": "proxy.cli.counting:stats",
    "retry": "proxy.cli.explaining:retry",
    "sticky": "proxy.cli.staying:sticky",
    "import": "proxy.cli.importing:import_",
    "watch": "proxy.cli.watching:watch",
    "export": "proxy.cli.exporting:export",
    "report": "proxy.cli.reporting:report",
    "replay": "proxy.cli.replaying:replay",
    "locate": "proxy.cli.locating:locate",
    "doctor": "proxy.cli.doctoring:doctor",
    "demo": "proxy.cli.demo:demo",
    "db": "proxy.cli.database:db",
    "addon-path": "proxy.cli.addon:addon_path",
}
"""Name -> module and object; in the order of the help."""


class _Lazy(Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="demur", message="%(prog)s %(version)s")
def main() -> None:
    """Tells what happened when the API's safeguards declined a request of Claude Code, and keeps the evidence on this machine.

    Begin with `demur demo`, or start a session with `demur run -- claude`.
    """
