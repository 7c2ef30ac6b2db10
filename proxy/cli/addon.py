"""``demur addon-path``: where the mitmproxy add-on is."""

import importlib.util

import click


@click.command("addon-path")
def addon_path() -> None:
    """Print the path of the mitmproxy add-on.

    Example: mitmweb --listen-host 127.0.0.1 -s "$(demur addon-path)"
    """
    spec = importlib.util.find_spec("addons.refusals")
    if spec is None or spec.origin is None:
        raise click.ClickException("the add-on is not installed; install demur again")
    click.echo(spec.origin)
