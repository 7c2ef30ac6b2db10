"""``python -m proxy.cli`` is ``demur``."""

from proxy.cli import main

main(prog_name="demur")
