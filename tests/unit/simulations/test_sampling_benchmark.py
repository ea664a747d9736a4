"""The comparison of kinds of sampling: the same accountant, and the order that theory has."""

import json

import pytest

from fedrec.privacy.accounting.delta import default_delta
from fedrec.privacy.accounting.prices import calibrate
from simulations.benchmarks import sampling


def test_it_prints_what_it_compares(monkeypatch, capsys):
    monkeypatch.setattr(sampling, "RATES", (0.1,))
    sampling.main(json=True, quiet=True)
    rows = {row["sampling"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    noise = {name: row["noise_multiplier"] for name, row in rows.items()}
    assert noise["balls-in-bins"] < noise["poisson"] < noise["without-replacement"] < noise["fixed"]
    assert noise["balls-in-bins"] == calibrate(8.0, default_delta(561), 0.1, 3, draw="balls-in-bins")
    assert rows["poisson"]["of_fixed"] == pytest.approx(noise["poisson"] / noise["fixed"])
    assert {name for name, row in rows.items() if row["size_is_public"]} == {"fixed", "without-replacement"}
    sampling.main(quiet=True)
    assert "without-replacement" in capsys.readouterr().out
