"""What a run computes once, before its first round, and keeps: data, split, federation, item vectors, base.

`prepare` writes a folder and seals it (see `fedrec.core.checksums`); clients and server read it. What clients read
(`train/`, `federation/`, `platforms/`, item vectors, base) holds no held-out interaction, the clients' own later ones
included (`split.later`): those lie in `held_out/`, for evaluation alone. Whatever grows with the number of users lies
in columns (see `fedrec.data.columns`), so opening a run costs the same for a million of them.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

from fedrec.core.checksums import damage, is_sealed, seal
from fedrec.core.errors import ConfigError, RunError, UserError
from fedrec.core.files import write_whole
from fedrec.core.progress import DownloadBar, Progress
from fedrec.core.threads import one_thread
from fedrec.data.columns import RaggedArray, StringColumn, open_column, write_columns
from fedrec.data.federation import Federation, federate
from fedrec.data.interactions import Catalogue, Dataset, IntArray, Interactions, Users
from fedrec.data.load import load_platforms
from fedrec.data.platform import Platforms, combine, combine_federations, combine_splits
from fedrec.data.split import Split, split_users
from fedrec.experiment.config import Experiment
from fedrec.models.recommender import ModelInputs, needs_of
from fedrec.run.text_inputs import TextInputs, text_inputs
from fedrec.run.trainable import require_pairs, require_trainable
from fedrec.tasks import open_task
from fedrec.text.encoder import weights_sha256
from fedrec.text.locate import locate_encoder
from fedrec.training.pretraining import new_base, pretrained_base

FACTS = "facts.json"
ROWS = ("bounds", "item", "time", "value")
GROUPS = ("private", "public", "validation", "test")


@dataclass(frozen=True, eq=False)
class Prepared:
    """A prepared folder, opened. Each part is read when it is first asked for."""

    folder: Path

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the run says of its data, encoder and base."""
        facts: dict[str, Any] = json.loads((self.folder / FACTS).read_text(encoding="utf-8"))
        return facts

    @cached_property
    def train(self) -> Interactions:
        """Rows of the training users."""
        return self._interactions("train")

    @cached_property
    def train_counts(self) -> IntArray:
        """Training rows of each item, `[items]`."""
        return open_column(self.folder / "train", "item_counts")

    @cached_property
    def federation(self) -> Federation:
        """The clients."""
        columns = partial(open_column, self.folder / "federation")
        return Federation(
            users=RaggedArray(columns("users"), columns("bounds")),
            names=StringColumn(columns("names"), columns("name_bounds")),
        )

    @cached_property
    def platforms(self) -> Platforms:
        """Which items and users are whose; one platform has all of them."""
        return Platforms.open(self.folder / "platforms")

    @cached_property
    def text(self) -> TextInputs:
        """What the model reads of text."""
        return TextInputs.open(self.folder)

    @property
    def item_vectors(self) -> Tensor | None:
        """Frozen item vectors, `[items, dimensions]`; None where the model reads no text."""
        return self.text.item_vectors

    @property
    def model_inputs(self) -> ModelInputs:
        """What the model is built for."""
        num_users = int(self.federation.users.lengths.max())
        heads = self.facts.get("heads", 0)
        return ModelInputs(self.facts["dataset"]["items"], num_users, **vars(self.text), heads=heads)

    @cached_property
    def base(self) -> dict[str, Tensor]:
        """The model's weights before any adapter."""
        return load_file(self.folder / "base.safetensors")

    @cached_property
    def split(self) -> Split:
        """The split, held-out rows included: for the server only."""
        groups = {name: open_column(self.folder / "groups", name) for name in GROUPS}
        return Split(train=self.train, held_out=self._interactions("held_out"), **groups)

    @cached_property
    def users(self) -> Users:
        """All users with their attributes."""
        return Users(**json.loads((self.folder / "users.json").read_text(encoding="utf-8")))

    @cached_property
    def catalogue(self) -> Catalogue:
        """All items."""
        return Catalogue(**json.loads((self.folder / "items.json").read_text(encoding="utf-8")))

    def _interactions(self, table: str) -> Interactions:
        columns = {name: open_column(self.folder / table, name) for name in ROWS}
        return Interactions(**columns, num_items=self.facts["dataset"]["items"])


def is_prepared(folder: Path) -> bool:
    """Return whether `prepare` finished here."""
    return is_sealed(folder)


def require_intact(folder: Path) -> None:
    """Read a prepared folder through and compare it with its checksums.

    Raises:
        RunError: If it is not what was prepared: training would go on from other data, and say nothing.
    """
    if found := damage(folder):
        message = f"{found}; remove {folder} and resume: it is prepared again, to the same bits"
        raise RunError(message)


def prepare(experiment: Experiment, folder: Path, cache: Path, progress: Progress) -> Prepared:
    """Fill `folder` with all that the rounds need; its checksums, written last, say that it is whole.

    Raises:
        FedrecError: As the loaders, the split, the federation and the encoder do.
    """
    began = time.monotonic()
    require_trainable(experiment)

    def notify(line: str) -> None:
        progress("note", 0, 0, line)

    bar = DownloadBar("downloading data", progress)
    datasets = load_platforms(experiment, cache, notify=notify, progress=bar)
    platforms, dataset = Platforms.of(datasets), combine(datasets)
    require_pairs(experiment, len(dataset.catalogue))
    splits, federations = zip(*(_dealt_out(name, datasets, experiment) for name in datasets), strict=True)
    split, federation = combine_splits(platforms, splits), combine_federations(platforms, federations)
    task = open_task(experiment)
    encoder = locate_encoder(experiment.text.encoder, cache, notify) if needs_of(experiment) else None
    make_base = {"random": new_base, "public_users": pretrained_base}[experiment.model.base]
    with one_thread():
        text = TextInputs()
        if encoder is not None:
            catalogues = [own.catalogue for own in datasets.values()]
            text = text_inputs(experiment, task, catalogues, platforms.items, encoder, cache, progress)
        inputs = ModelInputs(
            len(dataset.catalogue), int(federation.users.lengths.max()), **vars(text), heads=task.heads
        )
        base = make_base(inputs, experiment, split, platforms, progress)
    platforms.write(folder / "platforms")
    _write_data(folder, dataset, split, federation)
    text.write(folder)
    write_whole(folder / "base.safetensors", tensors_to_bytes(base))
    facts = _facts(dataset, split, federation, None if encoder is None else weights_sha256(encoder), base)
    if len(platforms) > 1:
        facts["dataset"]["platforms"] = {
            "names": list(datasets),
            "users": np.diff(platforms.users).tolist(),
            "items": np.diff(platforms.items).tolist(),
            "interactions": [len(own.interactions) for own in datasets.values()],
        }
    facts["heads"] = task.heads
    facts["timing"] = {"prepare": round(time.monotonic() - began, 3)}
    write_whole(folder / FACTS, json.dumps(facts, indent=1))
    seal(folder)
    return Prepared(folder)


def _dealt_out(name: str, datasets: Mapping[str, Dataset], experiment: Experiment) -> tuple[Split, Federation]:
    """Return a platform's split and its clients, as if it were alone.

    Raises:
        UserError: As the split and the federation do; it names the platform where there are several.
    """
    dataset = datasets[name]
    try:
        _require_clock(dataset, experiment)
        split = split_users(dataset.interactions, experiment.split, experiment.split_seed)
        return split, federate(dataset, split, experiment.federation, experiment.seed)
    except UserError as error:
        if len(datasets) == 1:
            raise
        message = f"platform {name!r}: {error}"
        raise type(error)(message) from error


def _require_clock(dataset: Dataset, experiment: Experiment) -> None:
    """Refuse to end training at a moment where rows have no times.

    Raises:
        ConfigError: If it is asked for.
    """
    if experiment.split.until is not None and dataset.order != "time":
        message = (
            f"split.until = {experiment.split.until}: the interactions of {dataset.name} have no times, only an order "
            "in the file; leave it out, or name the column of times (data.table.time)"
        )
        raise ConfigError(message)


def _facts(
    dataset: Dataset, split: Split, federation: Federation, encoder_sha256: str | None, base: dict[str, Tensor]
) -> dict[str, Any]:
    sizes = federation.users.lengths
    held_out = split.held_out.lengths_of(np.concatenate((split.validation, split.test)))
    return {
        "dataset": {
            "name": dataset.name,
            "users": len(dataset.users),
            "items": len(dataset.catalogue),
            "interactions": len(dataset.interactions),
            "cleaning": dataset.cleaning,
            "terms": dataset.terms,
            "source": dataset.source,
            "order": dataset.order,
        },
        "split": {
            "private": len(split.private),
            "public": len(split.public),
            "validation": len(split.validation),
            "test": len(split.test),
            "excluded": int(np.sum(held_out < 2)),
        },
        "federation": {
            "clients": len(federation),
            "users_per_client": [int(of(sizes)) for of in (np.min, np.median, np.max)],
        },
        "encoder_sha256": encoder_sha256,
        "model_parameters": sum(value.numel() for value in base.values()),
    }


def _write_data(folder: Path, dataset: Dataset, split: Split, federation: Federation) -> None:
    for table, rows in (("train", split.train), ("held_out", split.held_out)):
        write_columns(folder / table, **{name: getattr(rows, name) for name in ROWS})
    write_columns(folder / "train", item_counts=np.bincount(split.train.item, minlength=split.train.num_items))
    write_columns(folder / "groups", **{name: getattr(split, name) for name in GROUPS})
    users, names = federation.users, federation.names
    write_columns(
        folder / "federation",
        users=users.values,
        bounds=users.bounds,
        names=names.letters,
        name_bounds=names.bounds,
    )
    people = {"ids": list(dataset.users.ids), "attributes": dataset.users.attributes}
    write_whole(folder / "users.json", json.dumps(people))
    write_whole(folder / "items.json", json.dumps(asdict(dataset.catalogue)))
