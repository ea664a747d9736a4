"""The competitor pfl-research (Granqvist et al. 2024), training fedrec's own model under the same user-level mechanism.

pfl wants older releases of fedrec's dependencies, so it runs in a virtual environment of its own. fedrec's side calls
`write_work`; pfl's side is `python pfl_side.py FOLDER`, with fedrec on PYTHONPATH, and prints one line of JSON. Besides
pfl that environment must have what fedrec's model imports: `NEEDS`.
All that is timed is pfl's: backend, algorithm, model wrapper, clipping, noise and central step. Only the recommender,
its loss and its start values are fedrec's. Under `torchrun --nproc_per_node N` pfl shares a cohort among N processes.

`work.json` says the kind of job:

- "train": each user has one sequence and takes `steps` local steps on it; with a `clip_norm` the user's whole change is
  clipped to it and noise of `noise_multiplier * clip_norm` is added, to the sum, or under `placement` "local" to each.
- "trivial": a client adds a constant to each of `parameters` numbers: what remains is the simulator's own cost.
"""

import json
import os
import sys
import time
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fedrec.experiment.config import Experiment
from fedrec.models.adapters import attach_, load_parameters_
from fedrec.models.recommender import ModelInputs, Recommender
from fedrec.models.text_transformer import TextTransformer
from fedrec.tasks.next_item import NextItem
from fedrec.tasks.windows import IGNORED

NEEDS = {
    "pfl": "pfl[pytorch]",
    "torch": "torch",
    "numpy": "numpy",
    "safetensors": "safetensors",
    "peft": "peft",
    "pydantic": "pydantic",
    "jaxtyping": "jaxtyping",
    "scipy": "scipy",
}
"""What pfl's side imports: module -> the package that has it. A test looks whether it is all."""

OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


def write_work(folder: Path, work: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> None:
    """Write a job for this file's other half.

    Args:
        folder: Where to; created if missing.
        work: `kind`, `clients`, `cohort`, `rounds` (at least 2: the first is a warm-up) and `seed`; for "trivial"
            `parameters`; for "train" `steps`, `lr`, `optimizer`, `clip_norm` (None: no privacy), `noise_multiplier`,
            `model` and `adapter` (the fields of `ModelConfig` and `AdapterConfig`) and, if not "central", `placement`.
        tensors: `train_tensors`, for "train".
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "work.json").write_text(json.dumps(dict(work), indent=1) + "\n", encoding="utf-8")
    save_file(
        {name: value.contiguous().clone() for name, value in (tensors or {}).items()}, folder / "work.safetensors"
    )


def train_tensors(base: Recommender, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what "train" needs: the model before its adapter is attached, and each client's sequence as a row."""
    weights = {f"base/{name}": value.detach() for name, value in base.named_parameters()}
    return {
        "item_vectors": base.get_buffer("item_vectors"),
        "history": batch["history"],
        "target": batch["target"],
        **weights,
    }


class Job(nn.Module):
    """A module as pfl's `PyTorchModel` wants it, with what a client brings: here the trivial job."""

    def __init__(self, parameters: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(parameters))

    def loss(self, *data: Tensor) -> Tensor:
        """Return the value to minimise."""
        del data
        return self.weight.sum()

    def metrics(self, *data: Tensor) -> dict[str, Any]:
        """Return nothing: pfl's evaluation, which it makes in the warm-up round alone, is not what is timed."""
        del data
        return {}


class Adapted(Job):
    """The recommender with its adapter attached, from the same start values as fedrec's."""

    def __init__(self, work: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        super().__init__(0)
        del self.weight
        vectors = tensors["item_vectors"]
        experiment = Experiment.model_validate({"model": work["model"], "adapter": work["adapter"]})
        self.task = NextItem(experiment)
        self.model = TextTransformer(ModelInputs(len(vectors), item_vectors=vectors), experiment.model)
        load_parameters_(self.model, {name[5:]: value for name, value in tensors.items() if name.startswith("base/")})
        attach_(self.model, experiment.adapter, work["seed"])
        self.rng = np.random.default_rng(work["seed"])

    def loss(self, *data: Tensor) -> Tensor:
        """Return the mean loss of a client's sequences: its histories and targets."""
        history, target = data
        sample = self.task.sample(self.rng, range(self.model.num_items))
        return self.task.losses(self.model, {"history": history, "target": target}, sample).mean()


def simulate(folder: Path) -> dict[str, Any]:
    """Run the job in `folder` and return what was measured; `final_norm` is how far the parameters moved (L2)."""
    os.environ.setdefault("PFL_PYTORCH_DEVICE", "cpu")
    # Here and below, because fedrec's side imports this file without pfl.
    from pfl.aggregate.simulate import SimulatedBackend
    from pfl.algorithm.base import NNAlgorithmParams
    from pfl.data.federated_dataset import FederatedDataset
    from pfl.data.pytorch import PyTorchTensorDataset
    from pfl.data.sampling import get_user_sampler
    from pfl.hyperparam.base import NNEvalHyperParams, NNTrainHyperParams
    from pfl.internal.ops.pytorch_ops import distributed
    from pfl.model.pytorch import PyTorchModel

    work = json.loads((folder / "work.json").read_text(encoding="utf-8"))
    torch.set_num_threads(1)
    np.random.seed(work["seed"])  # noqa: NPY002 (pfl's own source of seeds)
    tensors = load_file(folder / "work.safetensors")
    trivial = work["kind"] == "trivial"
    nothing = torch.zeros(1)

    def dataset(user: int) -> Any:
        if trivial:
            return PyTorchTensorDataset((nothing,), user_id=str(user))
        # To its own length: others' padding is no work of this user.
        history, target = tensors["history"][user : user + 1], tensors["target"][user : user + 1]
        length = int((target != IGNORED).nonzero()[-1, 1]) + 1
        return PyTorchTensorDataset((history[:, :length], target[:, :length]), user_id=str(user))

    # Clients in turn: round r's cohort is known, and nobody is in it twice.
    users = FederatedDataset(dataset, get_user_sampler("minimize_reuse", range(work["clients"])))
    job = Job(work["parameters"]) if trivial else Adapted(work, tensors)
    opened = [parameter for parameter in job.parameters() if parameter.requires_grad]
    optimizer = OPTIMIZERS[work.get("optimizer", "sgd")]
    model = PyTorchModel(job, lambda _, lr: optimizer(opened, lr=lr), torch.optim.SGD(opened, lr=1.0))
    before = nn.utils.parameters_to_vector(opened).detach().clone()
    steps, lr = work.get("steps", 1), work.get("lr", 1.0)
    clock = _clock()
    _algorithm(trivial=trivial).run(
        # Evaluation falls on every n-th round from the first on: on the warm-up alone.
        NNAlgorithmParams(work["rounds"], work["rounds"], train_cohort_size=work["cohort"], val_cohort_size=0),
        SimulatedBackend(users, users, _postprocessors(work)),
        model,
        # A dataset is a single batch, so an epoch is a step.
        NNTrainHyperParams(local_batch_size=None, local_num_epochs=steps, local_learning_rate=lr),
        NNEvalHyperParams(local_batch_size=None),
        [clock],
        send_metrics_to_platform=False,
    )
    rounds = clock.seconds[1:]
    moved = nn.utils.parameters_to_vector(opened).detach() - before
    return {
        "competitor": "pfl-research",
        "version": version("pfl"),
        "torch": torch.__version__,
        "processes": distributed.world_size,
        "rank": distributed.global_rank,
        "clients_per_s": work["cohort"] / median(rounds),
        "ms_per_client": 1000 * median(rounds) / work["cohort"],
        "rounds": rounds,
        "final_norm": float(moved.norm()),
    }


def _postprocessors(work: Mapping[str, Any]) -> list[Any]:
    from pfl.privacy.gaussian_mechanism import GaussianMechanism
    from pfl.privacy.privacy_mechanism import CentrallyAppliedPrivacyMechanism

    if work.get("clip_norm") is None:
        return []
    mechanism = GaussianMechanism(work["clip_norm"], work["noise_multiplier"])
    return [mechanism if work.get("placement") == "local" else CentrallyAppliedPrivacyMechanism(mechanism)]


def _algorithm(*, trivial: bool) -> Any:
    from pfl.algorithm.federated_averaging import FederatedAveraging
    from pfl.metrics import Metrics

    class Trivial(FederatedAveraging):  # type: ignore[misc]
        def train_one_user(self, initial_model_state: Any, model: Any, *_: Any) -> tuple[Any, Any]:
            with torch.no_grad():
                for parameter in model.variable_map.values():
                    parameter.add_(0.001)
            return model.get_model_difference(initial_model_state), Metrics()

    return Trivial() if trivial else FederatedAveraging()


def _clock() -> Any:
    from pfl.callback.base import TrainingProcessCallback
    from pfl.metrics import Metrics

    class Clock(TrainingProcessCallback):  # type: ignore[misc]
        def on_train_begin(self, **_: Any) -> Any:
            self.seconds: list[float] = []
            self.last = time.perf_counter()
            return Metrics()

        def after_central_iteration(self, *_: Any, **__: Any) -> tuple[bool, Any]:
            now = time.perf_counter()
            self.seconds.append(now - self.last)
            self.last = now
            return False, Metrics()

    return Clock()


if __name__ == "__main__":
    # How pfl 0.6 adds its noise, and how it sums over processes.
    warnings.filterwarnings("ignore", message="To copy construct from a tensor|`torch.distributed.reduce_op`")
    measured = simulate(Path(sys.argv[1]))
    if measured.pop("rank") == 0:
        print(json.dumps(measured))
