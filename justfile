# Thin names over script/; see CONTRIBUTING.md.

set positional-arguments

_default:
    @just --list --unsorted

# demur from this checkout; without arguments, `demur up`
@run *ARGS:
    script/run "$@"

# all that CI does; with arguments, pytest alone
@test *ARGS:
    script/test "$@"

# what demur costs, beside no proxy and beside others
@bench *ARGS:
    "$(script/setup dev)/bin/python" -m bench "$@"

# how fast transcripts are imported, and in how much memory
@bench-import *ARGS:
    "$(script/setup dev)/bin/python" -m bench.importing "$@"

# format, ruff, types, imports
@lint:
    script/lint

# mends what ruff can
@fmt:
    script/lint --fix
