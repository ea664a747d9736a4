"""Every command of docs/methods.md runs: two rounds on made-up users, who are then served, held out or not."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

from fedrec.core.progress import silent
from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.later_items import judge_later_items
from fedrec.experiment.config import Experiment
from fedrec.experiment.file import load_experiment
from fedrec.training.rules.base import LocalWork
from fedrec.training.rules.round import build_rule
from server.strategies.build import build_strategy, check_strategy
from simulations.plugins import SCENARIOS
from simulations.testing.world import last_round, new_run, tiny_experiment

TEXT = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"`fedrec run methods\.toml([^`]*)`", TEXT)
TOML = TEXT.split("```toml\n")[1].split("```")[0]
NOTHING_KEPT = {"reconstructed_factorization", "sasrec", "text_transformer"}


def documented(command: str, folder: Path, width: int = 6) -> Experiment:
    """Return the documented experiment, its method as it is written, on the made-up world and of its sizes."""
    file = folder / "methods.toml"
    file.write_text(TOML, encoding="utf-8")
    settings = [word for word in shlex.split(command) if word != "--set"]
    said = load_experiment(file, settings, SCENARIOS).model_dump(mode="json", exclude_none=True)
    small: dict[str, Any] = {
        "model": {**said["model"], "width": width, "heads": 2, "layers": 1, "window": 6, "base_epochs": 2},
        "adapter": {**said["adapter"], "rank": 2},
        "training": said["training"],
        "split": {"later": said["split"]["later"], "public": said["split"]["public"]},
        "federation": {"partition": said["federation"]["partition"]},
        "evaluation": {"select": said["evaluation"]["select"]},
    }
    return tiny_experiment(strategy=said["strategy"], transforms=said["transforms"], **small)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_method_trains_and_serves_clients_own_users_and_others(command: str, tmp_path: Path) -> None:
    experiment = documented(command, tmp_path)
    check_strategy(experiment)
    made = new_run(tmp_path / "run", experiment)
    ended = last_round(made)
    start = made.job.training_context.shared_start
    assert any(not torch.equal(value, start[name]) for name, value in ended.parameters.items())
    assert all(value.isfinite().all() for value in ended.parameters.values())
    assert [line["rejected"] for line in made.rounds()[1:]] == [{}, {}]
    strategy = build_strategy(made.job)
    rule = build_rule(strategy.rule, strategy.client_config(), LocalWork.of(experiment))
    own = judge_later_items(made.job, Evaluator(made.job), ended.parameters, rule, ended.round, silent)
    assert own is not None
    assert ("personal" in own.found) == (experiment.model.name not in NOTHING_KEPT)


def test_a_colr_client_sends_a_rank_of_each_table(tmp_path: Path) -> None:
    (command,) = (one for one in COMMANDS if "strategy.name=colr" in one)
    low = documented(command, tmp_path, width=16)
    sent = []
    for number, experiment in enumerate((low, low.model_copy(update={"transforms": ()}))):
        made = new_run(tmp_path / f"run-{number}", experiment)
        last_round(made)
        sent.append(made.rounds()[1]["upload_bytes"])
    # 1,280 bytes of a client's 20 x 16 numbers become 320, and 24 for the draw of the basis; biases and names stay
    assert sent[0] < sent[1] / 2


def test_every_method_of_the_list_is_documented() -> None:
    for name in ("pfedrec", "fedrap", "neural_cf", "reconstructed_factorization", "colr", "gpfedrec", "sasrec"):
        assert any(f"name={name}" in command for command in COMMANDS), name
