"""Importers: one module a source, each a generator of records out of one file."""
