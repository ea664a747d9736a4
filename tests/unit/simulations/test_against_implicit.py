"""The comparison with implicit: what is compared, by hand."""

import sys

import numpy as np
import pytest
from scipy import sparse

from fedrec.core.errors import ConfigError
from simulations.benchmarks import against_implicit
from simulations.benchmarks.against_implicit import apart, fitted_by_implicit, objective


def test_cosines_are_compared_by_rank_and_without_an_item_itself():
    ours = np.array([[0.0, 0.5, 0.0], [0.5, 0.0, 0.2], [0.0, 0.3, 0.0]])
    # Of two equally near items the other one is taken, and an item is its own nearest.
    theirs = np.array([[1.0, 0.0, 0.5], [0.5, 1.0, 0.2], [0.0, 0.2, 1.0]])
    assert apart(ours, theirs) == pytest.approx(0.1)
    assert apart(ours, ours) == 0.0
    # By rank alone these would be the same.
    assert apart(np.array([[0.0, 0.5, 0.3]]), np.array([[1.0, 0.3, 0.5]])) == pytest.approx(0.2)


def test_the_objective_by_hand(monkeypatch):
    monkeypatch.setattr(against_implicit, "L2", 0.5)
    monkeypatch.setattr(against_implicit, "CONFIDENCE", 3.0)
    # One user of factor 2, items of factors 1 and -1, of which the first was touched: 3 (1 - 2)^2 + (0 + 2)^2,
    # and half of 2^2 + 1^2 + 1^2.
    found = objective(sparse.csr_array([[1.0, 0.0]]), np.array([[2.0]]), np.array([[1.0], [-1.0]]))
    assert found == pytest.approx(3 + 4 + 3)


def test_an_environment_without_implicit_is_named(tmp_path):
    touched = sparse.csr_array([[1.0, 0.0]])
    with pytest.raises(ConfigError, match=r"--implicit .*missing fits nothing .* name the Python"):
        fitted_by_implicit(tmp_path / "missing", touched, [1], [])
    broken = tmp_path / "python"
    broken.write_text(f"#!{sys.executable}\nraise ModuleNotFoundError(\"No module named 'implicit'\")\n")
    broken.chmod(0o755)
    with pytest.raises(ConfigError, match="No module named 'implicit'"):
        fitted_by_implicit(broken, touched, [1], [])
