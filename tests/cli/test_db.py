import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from commands import (
    declined,
    demur,
    fails,
    keep,
    lines,
    objects,
    request,
)


def test_db_path_prints_the_path_whether_or_not_it_is_there(db: Path, tmp_path: Path) -> None:
    assert lines(demur("db", "path", db=db)) == [str(db)]
    assert lines(demur("db", "path", DEMUR_DB=str(db))) == [str(db)]
    assert objects(demur("db", "path", "--json", db=db)) == [{"path": str(db)}]
    assert not db.exists()


def test_vacuum_gives_space_back_and_says_how_much(db: Path) -> None:
    keep(db, *(declined(request(said=os.urandom(40_000).hex()), request_id=f"req_{n}") for n in range(5)))
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("pragma foreign_keys = on")
        other.execute("delete from refusals where request_id <> 'req_1'")
    (report,) = objects(demur("db", "vacuum", "--json", db=db))
    assert report["before"] > report["after"]
    assert report["after"] == sum(file.stat().st_size for file in db.parent.glob("demur.db*"))
    assert report["segments"] == 4
    (line,) = lines(demur("db", "vacuum", db=db))
    assert re.fullmatch(rf"{re.escape(str(db))}: [\d,]+ bytes before, [\d,]+ after", line)
    assert "req_1" in demur("list", db=db).stdout


def test_verify_says_ok_or_every_problem(db: Path) -> None:
    keep(db, declined(request()))
    assert lines(demur("db", "verify", db=db)) == [f"ok: {db}"]
    assert objects(demur("db", "verify", "--json", db=db))[0]["ok"] is True
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("update segments set size = size + 1 where key = (select min(key) from segments)")
    result = demur("db", "verify", db=db)
    assert result.exit_code == 1
    (line,) = result.stdout.splitlines()
    assert line.startswith("segments: b2:")
    assert "restore" in line
    result = demur("db", "verify", "--json", db=db)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["ok"] is False


@pytest.mark.parametrize("command", ["vacuum", "verify"])
def test_a_database_that_is_not_there_is_not_made(db: Path, command: str) -> None:
    assert "there is no database at" in fails(demur("db", command, db=db))
    assert not db.exists()
