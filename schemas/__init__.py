"""The shapes of demur: records, vocabularies, settings and tables. Imports nothing of ours and does no I/O."""
