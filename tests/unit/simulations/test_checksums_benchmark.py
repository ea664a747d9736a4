"""The benchmark of checksums: a row a work, and no checksum costs more than the work that it is part of."""

import json

from simulations.benchmarks import checksums


def test_it_prints_what_it_measures(monkeypatch, capsys):
    monkeypatch.setattr(checksums, "PARAMETERS", (50,))
    checksums.main(columns_mb=1, json=True, quiet=True)
    rows = {row["work"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert list(rows) == [
        "columns sealed",
        "columns compared at resume",
        "50 numbers a client kept",
        "50 numbers a client recalled",
    ]
    # 64 clients, 50 numbers of 4 bytes; both slots are compared when one is recalled
    assert rows["50 numbers a client kept"]["megabytes"] == 64 * 50 * 4 / 2**20
    assert rows["50 numbers a client recalled"]["megabytes"] == 2 * 64 * 50 * 4 / 2**20
    assert rows["columns sealed"]["megabytes"] == 1
    checksums.main(columns_mb=1, quiet=True)
    assert "columns sealed" in capsys.readouterr().out
