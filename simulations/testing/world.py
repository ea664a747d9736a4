"""A world for contracts: made-up users, items and an encoder with random weights. A run takes seconds and no download.

The world is made once a process, in a folder that goes with it.
"""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from flwr.serverapp import Grid
from safetensors.torch import save_file

from fedrec.core.progress import silent
from fedrec.core.threads import one_thread
from fedrec.evaluation.evaluator import Evaluator
from fedrec.experiment.config import Experiment
from fedrec.privacy.plan import UnitCounts, plan
from fedrec.run.checkpoint import Checkpoint
from fedrec.run.directory import RunDirectory
from server.context import StrategyContext
from server.rounds import RoundContext, run_rounds
from server.stop import StopRequest
from server.strategies.build import build_strategy
from simulations.engine import ENGINES
from simulations.options import RunOptions
from simulations.sweep.sharing import link, prepare_once

USERS, ITEMS, CLIENTS = 24, 20, 4
SEED = 0

_KEPT: list[tempfile.TemporaryDirectory[str]] = []


@cache
def world() -> Path:
    """Return the folder with `rows.csv`, `items.csv` and `encoder/`; it is removed when the process ends."""
    _KEPT.append(tempfile.TemporaryDirectory(prefix="fedrec-world-"))
    folder = Path(_KEPT[0].name)
    rng = np.random.default_rng(SEED)
    items = [f"{item},item {chr(97 + item)} {chr(97 + item % 5)}" for item in range(ITEMS)]
    rows = [f"{user},{item}" for user in range(USERS) for item in rng.permutation(ITEMS)[: rng.integers(5, 12)]]
    (folder / "items.csv").write_text("\n".join(["item,title", *items, ""]), encoding="utf-8")
    (folder / "rows.csv").write_text("\n".join(["user,item", *rows, ""]), encoding="utf-8")
    _write_encoder(folder / "encoder")
    return folder


def _write_encoder(folder: Path) -> None:
    """Write a BERT of one layer that reads letters and knows nothing."""
    from transformers import BertConfig, BertModel, BertTokenizer

    letters = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "item", *(chr(97 + number) for number in range(26))]
    BertTokenizer(vocab={letter: number for number, letter in enumerate(letters)}).save_pretrained(folder)
    shape = BertConfig(
        vocab_size=len(letters), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, initializer_range=0.5,
    )  # fmt: skip
    with torch.random.fork_rng([]):
        torch.manual_seed(SEED)
        model = BertModel(shape)
    shape.save_pretrained(folder)
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})


def tiny_experiment(**sections: Any) -> Experiment:
    """Return an experiment on the world: two rounds of four clients, plain, every section said.

    Args:
        **sections: Keys of the experiment, or sections as tables of what is to differ.
    """
    place = world()
    table = {"items_path": str(place / "items.csv"), "title": "title", "text": ["title"]}
    tree: dict[str, Any] = {
        "rounds": 2,
        "data": {"name": "table", "path": str(place / "rows.csv"), "min_interactions": 2, "table": table},
        "split": {"public": 0.0, "validation": 0.25, "test": 0.25},
        "federation": {"partition": "shards", "clients": CLIENTS, "participation": 1.0, "min_replies": 1},
        "text": {"encoder": str(place / "encoder"), "dimensions": 8},
        "model": {"width": 8, "heads": 2, "layers": 1, "window": 6, "base": "random"},
        "adapter": {"name": "lora", "rank": 2},
        "training": {"optimizer": "sgd", "lr": 0.3, "steps": 2, "example": "sequence", "sampling_rate": 1.0},
        "strategy": {"name": "fedavg"},
        "privacy": {"noise_key": 0},
        "evaluation": {"every": 2, "select": "last", "cutoffs": [5], "controls": [], "groups": []},
    }
    for name, section in sections.items():
        tree[name] = {**tree.get(name, {}), **section} if isinstance(section, dict) else section
    return Experiment.model_validate(tree)


def new_run(folder: Path, experiment: Experiment) -> RunDirectory:
    """Return a new run directory, prepared; experiments with the same data and model share the preparation."""
    run = RunDirectory.create(folder, experiment, "contract")
    link(prepare_once(experiment, world() / "prepared", world() / "cache", silent), run.private / "prepared")
    return run


def last_round(run: RunDirectory, grid: Grid | None = None, *, until: int | None = None) -> Checkpoint:
    """Run the rounds that a run lacks and return its last checkpoint.

    Args:
        run: The run.
        grid: Whom the server asks; the engine `inprocess` if not given.
        until: The round after which the run is stopped, as by Ctrl-C.

    Raises:
        Interrupted: If the run is stopped.
        FedrecError: As the rounds do.
    """
    if grid is None:
        ended: list[Checkpoint] = []
        clients = len(run.job.prepared.federation)
        ENGINES.get("inprocess")(lambda made: ended.append(last_round(run, made, until=until)), clients, RunOptions())
        return ended[0]
    stop = StopRequest(run.path)

    def progress(label: str, done: int, total: int, note: str = "") -> None:
        del total, note
        if (label, done) == ("rounds", until):
            stop.set()

    with one_thread():
        return run_rounds(RoundContext(run, build_strategy(run.job), grid, Evaluator(run.job)), progress, (), stop)


def strategy_context() -> StrategyContext:
    """Return what a strategy is told of a run of four clients, all of them in every round, without privacy."""
    experiment = Experiment()
    return StrategyContext(
        seed=SEED,
        secret_seed=SEED,
        cohort=lambda _: range(CLIENTS),
        expected_cohort=float(CLIENTS),
        min_replies=1,
        max_update_norm=experiment.federation.max_update_norm,
        plan=plan(experiment, UnitCounts(CLIENTS, CLIENTS, CLIENTS), 1),
    )
