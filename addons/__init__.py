"""Adapters to mitmproxy. Each file also runs alone: ``mitmdump -s addons/refusals.py``."""
