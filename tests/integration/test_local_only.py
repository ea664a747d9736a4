"""The control `local_only`: a client alone is scored with all that it has trained."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from fedrec.core.progress import silent
from fedrec.evaluation.controls import CONTROLS
from fedrec.evaluation.evaluator import Evaluator
from fedrec.metrics.evaluation import Scorer
from tests.integration.conftest import NewRun
from tests.tiny import tiny


def test_a_client_alone_is_scored_with_what_it_keeps(start: NewRun, monkeypatch: pytest.MonkeyPatch) -> None:
    job = start(tiny(adapter={"private": ("item_bias*",)})).job
    scored: list[Mapping[str, Tensor]] = []
    right = Evaluator.scorer

    def scorer(own: Evaluator, parameters: Mapping[str, Tensor]) -> Scorer:
        scored.append(parameters)
        return right(own, parameters)

    monkeypatch.setattr(Evaluator, "scorer", scorer)
    evaluator = Evaluator(job)
    CONTROLS.get("local_only")(job, evaluator, silent)
    assert len(scored) == 4
    before = evaluator.context.start
    for parameters in scored:
        assert parameters.keys() == before.keys()
        assert not torch.equal(parameters["item_bias.weight"], before["item_bias.weight"])
    assert not torch.equal(scored[0]["item_bias.weight"], scored[1]["item_bias.weight"]), "each has its own"
