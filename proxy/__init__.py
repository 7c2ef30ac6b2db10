"""The engine of demur and its shell."""

__version__ = "0.1.0"
