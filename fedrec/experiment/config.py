"""An experiment is a value: what is computed, apart from how it is run.

Every key has a default and a description; unknown keys, wrong types and values out of range are reported
all at once. `fingerprint` hashes the whole experiment, and nothing else.
"""

import hashlib
import json
import math
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from fedrec.experiment.privacy import PrivacyConfig
from fedrec.experiment.section import Positive, Rate, Section, Share
from fedrec.experiment.validation import PrivateValidationConfig

Sampling = Literal["fixed", "poisson", "without-replacement", "balls-in-bins"]
"""How cohorts are drawn; see `fedrec.run.cohorts`."""


class TableConfig(Section):
    """Columns of the user's own table (`data.name = "table"`)."""

    user: str = "user"
    """Column with the user's identifier."""
    item: str = "item"
    """Column with the item's identifier."""
    time: str | None = None
    """Column with the time (number or ISO date); without it, file order is time order."""
    time_format: str | None = None
    """How dates that are not ISO dates are written, as for strptime: "%d/%m/%Y", "%m/%d/%Y %H:%M"."""
    value: str | None = None
    """Column with a rating or weight."""
    items_path: Path | None = None
    """Second file with one row per item; without it, item columns are read from the main file."""
    items_key: str | None = None
    """Its column with the item's identifier; named as in the main file, or "id", if not given."""
    text: tuple[str, ...] = ()
    """Columns whose words describe an item, joined in this order; without any, the identifier is the text."""
    title: str | None = None
    """Column with an item's name for people; the first text column if not given."""
    users_path: Path | None = None
    """Optional file with one row per user; its further columns become user attributes."""
    users_key: str | None = None
    """Its column with the user's identifier; named as in the main file, or "id", if not given."""
    separator: str | None = None
    """Field separator; found in each file's first lines (comma, semicolon, tab, bar) if not given, and asked for where
    they leave a choice that the suffix (.csv comma, .tsv tab) does not settle."""
    encoding: str = "utf-8"
    """Encoding of the files; one that garbles them is refused."""


class SyntheticConfig(Section):
    """A population of any size for scale tests (`data.name = "synthetic"`); never for claims about quality."""

    users: Positive = 10_000
    """Number of users to make up."""
    based_on: str = "movielens-100k"
    """Registered data set whose catalogue, history lengths and popularity they follow; `data.path` is its place."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the population; apart, so that several experiments share one."""


class DataConfig(Section):
    """Which interactions."""

    name: str = "movielens-100k"
    """Registered data set, "table" for the user's own files, or "synthetic" for a made-up population."""
    path: Path | None = None
    """Folder or file to read instead of downloading."""
    min_value: float | None = None
    """Keep only interactions with at least this value; all by default."""
    min_interactions: Positive = 2
    """Users with fewer interactions are left out (counted and reported): they have no history to rank from."""
    table: TableConfig = TableConfig()
    synthetic: SyntheticConfig = SyntheticConfig()


class SplitConfig(Section):
    """Who is held out."""

    validation: Share = 0.1
    """Share of users who pick hyper-parameters and show progress."""
    test: Share = 0.2
    """Share of users scored once, at the end."""
    public: Share = 0.0
    """Share of the training users who declared consent to central, non-private pretraining."""
    later: Share = 0.0
    """Share of each private training user's latest interactions that is kept from training, at least one: the clients'
    own later items, on which what stays with a client is judged. By default none. Two interactions always train."""
    until: date | int | None = None
    """Where training ends in time: a day (UTC, its first second) or a number in the data's own unit of time. From then
    on only test users have interactions, which `fedrec periods` judges apart. By default nowhere."""


class FederationConfig(Section):
    """Who trains together."""

    partition: str = "shards"
    """Registered partition, of each platform by itself: one user a client (`users`), random shards of users (`shards`),
    shards skewed by taste (`dirichlet`), one client per attribute value (`attribute`) or for all users (`platform`)."""
    clients: Positive = 20
    """Number of clients of each platform for `shards` and `dirichlet`; that of the others follows from the data."""
    alpha: Annotated[float, Field(gt=0)] = 0.5
    """Concentration of the Dirichlet skew; small means clients of one taste."""
    attribute: str = "occupation"
    """User attribute whose values are the clients of `attribute`."""
    participation: Rate = 1.0
    """Expected share of the clients in a round's cohort."""
    sampling: Sampling = "fixed"
    """How cohorts are drawn: of a fixed size, anew each round, not counted as secret (`fixed`); each client by its own
    coin (`poisson`); a fixed size in secret (`without-replacement`); or each client in exactly one round of every
    1 / participation, drawn for itself (`balls-in-bins`). Under central trust the latter three amplify privacy."""
    min_replies: Annotated[int, Field(ge=0)] = 1
    """Fewer valid replies than this fail the run; a Poisson cohort that was drawn empty does not. Which replies are
    valid depends on private data: under `privacy.trust` central and secure-aggregation a round therefore goes on with
    whoever is left, the others being reported, and fails only if nobody answers at all, unless this is 0."""
    timeout: Annotated[float, Field(gt=0)] = 600.0
    """Seconds to wait for a round's replies."""
    max_update_norm: Annotated[float, Field(gt=0)] = 1000.0
    """A reply whose change is longer than this (L2) is rejected and counted, without privacy and under `privacy.trust`
    local. Where whole changes are clipped (central, secure-aggregation) a long one is, and only what is not finite is
    left out: to reject by a private length would tell of it."""

    declared_cohort: Annotated[float, Field(gt=0)] | None = None
    """The number that a noised sum is divided by; the expected number of clients a round if not given.
    `privacy.adjacency = "add-remove"` needs it, because the expected number tells how many clients there are."""

    def fixed_cohort(self, clients: int) -> int:
        """Return the size of a fixed cohort: the expected share of the clients, at least one."""
        return max(1, int(self.participation * clients + 0.5))

    @property
    def epoch(self) -> int:
        """Rounds of which balls in bins put a client into exactly one: the whole number next to 1 / participation."""
        return max(1, round(1 / self.participation))

    def expected_cohort(self, clients: int) -> float:
        """Return the expected number of clients a round, or the declared one: the denominator that no data decides."""
        if self.declared_cohort is not None:
            return self.declared_cohort
        varying = {"poisson": self.participation * clients, "balls-in-bins": clients / self.epoch}
        return varying.get(self.sampling, float(self.fixed_cohort(clients)))


class TextConfig(Section):
    """How item text becomes item vectors."""

    encoder: str = "all-MiniLM-L6-v2"
    """Known name, Hugging Face name or local folder of a transformers encoder."""
    layers: Positive | None = None
    """Keep only the first layers of the encoder; all by default."""
    pooling: Literal["mean", "cls"] = "mean"
    """How token vectors become one item vector."""
    max_tokens: Positive = 64
    """Item text is cut after this many tokens."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Numbers that the encoder computes in; vectors are kept in single precision. Half precision takes half of the
    memory, and on a CPU without units for it more time."""
    batch_size: Positive | None = None
    """Texts encoded at once; 64 if not given, or as many as fit a fixed budget of memory, whatever the machine has: the
    last bits of a vector depend on its batch."""
    whitening: Literal["off", "global", "platform"] = "global"
    """Item vectors as the encoder made them, at length 1 (`off`); decorrelated, with axes common to all platforms
    (`global`); or on axes of each platform's own (`platform`)."""
    dimensions: Positive | None = None
    """Width after whitening, the principal components of the catalogue that are kept, 256 if not given; without
    whitening it is the encoder's width, and no other."""


class ModelConfig(Section):
    """The recommender."""

    name: str = "text_transformer"
    """Registered model, or package.module:Class or file.py:Class."""
    options: dict[str, float | int | str | bool] = Field(default_factory=dict)
    """Further arguments of the model, by name."""
    width: Positive = 64
    """Width of the hidden state."""
    layers: Positive = 2
    """Transformer blocks."""
    heads: Positive = 2
    """Attention heads."""
    window: Positive = 50
    """Longest history the model reads."""
    dropout: Share = 0.0
    """Share of each layer's outputs that is dropped in training, where the model can."""
    softmax_items: Positive = 20_000
    """Catalogues above this size train on a softmax over sampled items instead of all."""
    base: Literal["random", "public_users"] = "random"
    """Where the base comes from: random weights, or central pretraining on the consenting public users."""
    base_epochs: Positive = 100
    """Most epochs of central pretraining for `public_users`; validation users pick the best."""
    base_lr: Annotated[float, Field(gt=0)] = 1e-3
    """Learning rate of that pretraining (Adam)."""


class LinearConfig(Section):
    """A linear branch beside the model: items that go together, by sums over users that are made once.

    Under privacy only of public users: the sums have no noise.
    """

    on: bool = False
    """Whether there is one; validation users pick its weight, so without any it has none."""
    users: Literal["training", "public"] = "training"
    """Of whom: all training users, whose clients add up their parts; or those alone who consented (split.public)."""
    next_item: bool = False
    """Whether it has a second part, what comes next: clients send products of fading pasts, four times as much."""
    l2: Annotated[float, Field(gt=0)] = 300.0
    """Ridge penalty of the weights of each part."""
    decay: Annotated[float, Field(gt=0)] = 10.0
    """Items of a history after which one counts 1 / e of what the last one does."""


class AdapterConfig(Section):
    """What is trained and travels."""

    name: str = "lora"
    """Registered adapter."""
    rank: Positive = 8
    """LoRA rank, or the bottleneck's width."""
    targets: tuple[str, ...] = ("query", "key", "value", "output", "expand", "contract")
    """Modules that get a LoRA."""
    freeze_a: bool = False
    """Leave LoRA's A as it was drawn and train B alone: half of the numbers, and less for noise to spoil."""
    item_projection: bool = True
    """Also train the item projection from item vectors to the model's width."""
    item_bias: bool = True
    """Also train one popularity bias per item (clients must share the catalogue)."""
    item_delta: bool = False
    """Also train a free vector per item beside its text (clients must share the catalogue)."""
    text_skip: bool = True
    """Also train the gain of the likeness of text, where model.options.text_skip adds one."""
    query_projection: bool = True
    """Also train the map from a query's vector to those of items, where the task has queries."""
    score_head: bool = True
    """Also train the layer from which the score is read, where the model has one (`cross_encoder`)."""
    private: tuple[str, ...] = ()
    """Parameter name patterns that are trained but never leave the client."""


class TaskConfig(Section):
    """What is learnt, and how it is judged."""

    name: str = "next_item"
    """Registered task, or package.module:Class or file.py:Class."""
    options: dict[str, float | int | str | bool] = Field(default_factory=dict)
    """Arguments of the task, by name."""


class TrainingConfig(Section):
    """Work of one client in one round."""

    optimizer: Literal["sgd", "adam"] = "adam"
    """Local optimiser; its state starts anew each round."""
    lr: Annotated[float, Field(gt=0)] = 0.005
    """Local learning rate."""
    steps: Positive = 4
    """Local steps a round."""
    example: Literal["sequence", "prefix", "later_half"] = "sequence"
    """One training example: a user's whole sequence, one (prefix, next item) pair, or a sequence of which the later
    half alone is learnt, and the earlier one is what may be known of the user (FedRecon's query and support)."""
    windows: Literal["one", "all"] = "one"
    """Of a sequence longer than the model's window: one window at random is the user's only example, as user-level
    privacy needs where clients add the noise; or it is cut into as many as cover it, each an example (`all`)."""
    sampling_rate: Rate = 0.25
    """Chance of each example to be in a step's batch (Poisson)."""


class StrategyConfig(Section):
    """How updates become one model."""

    name: str = "fedavg"
    """Registered strategy, or package.module:Class or file.py:Class of any Flower Strategy."""
    options: dict[str, float | int | str | bool] = Field(default_factory=dict)
    """Arguments of the strategy, by name."""


class TransformConfig(Section):
    """One step between a client's change and what travels (`[[transforms]]`, once for each)."""

    name: str
    """Registered transform, or package.module:Class or file.py:Class of one."""
    options: dict[str, float | int | str | bool] = Field(default_factory=dict)
    """Arguments of the transform, by name."""


class EvaluationConfig(Section):
    """How the global recommender is scored."""

    targets: tuple[str, ...] | None = None
    """What of each held-out user is judged, of the task's: "last", the last item, and "last20", the last 20 % (always
    among them). By default both; without times the last 20 % alone, because a file's last row is nobody's next item."""
    cutoffs: tuple[Positive, ...] = (5, 10, 20)
    """Cut-offs of the ranking metrics."""
    every: Positive = 5
    """Rounds between two rankings of the validation users (their loss is taken every round)."""
    select: Literal["best", "last", "average"] = "best"
    """Which adapter is the result: that of the lowest validation loss, that of the last round, or the mean of those of
    the last half of the rounds, which under privacy costs nothing and averages noise out."""
    central_epochs: Positive = 60
    """Most epochs of the central control; validation users pick the best."""
    central_lr: Annotated[float, Field(gt=0)] = 2e-3
    """Learning rate of the central control (Adam)."""
    controls: tuple[str, ...] | None = None
    """What the result is put beside; the task's own if not given (of next_item: random, popularity, ease, ease_recency,
    linear_next_item, linear_sum, base, local_only and central)."""
    groups: tuple[str, ...] = ("activity", "gender", "age")
    """User attributes whose groups are compared; `activity` is the length of the history."""
    kinds: str = "genres"
    """Item attribute whose values, several of them parted by |, are the kinds of items that calibration and the
    exposure of kinds are judged by; neither is told where the data lack it."""
    private: PrivateValidationConfig = PrivateValidationConfig()


class Experiment(Section):
    """Everything that determines a result."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of every draw but the split's and, under privacy, the secret ones (see `privacy.noise_key`)."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of who is held out; apart, so that several seeds share one split."""
    rounds: Positive = 30
    """Rounds of training."""
    data: DataConfig = DataConfig()
    platforms: dict[str, DataConfig] = Field(default_factory=dict)
    """Data of each platform by the platform's name (`[platforms.video]`); `data` is the short form for a single one."""
    split: SplitConfig = SplitConfig()
    federation: FederationConfig = FederationConfig()
    text: TextConfig = TextConfig()
    model: ModelConfig = ModelConfig()
    linear: LinearConfig = LinearConfig()
    adapter: AdapterConfig = AdapterConfig()
    task: TaskConfig = TaskConfig()
    training: TrainingConfig = TrainingConfig()
    strategy: StrategyConfig = StrategyConfig()
    transforms: tuple[TransformConfig, ...] = ()
    """What clients do to their change before they send it, in this order; the server undoes it in reverse."""
    privacy: PrivacyConfig = PrivacyConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @property
    def data_sections(self) -> dict[str, DataConfig]:
        """The data of each platform by the name of its section, "data" or "platforms.NAME".

        Sorted by name, because the order of sections is no part of an experiment: the fingerprint does not know it.
        """
        return {f"platforms.{name}": self.platforms[name] for name in sorted(self.platforms)} or {"data": self.data}

    def ranks(self, round: int) -> bool:
        """Return whether the validation users' lists are ranked after a round: the base's, every few, and the last."""
        return round % self.evaluation.every == 0 or round == self.rounds

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the experiment in canonical JSON."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json")).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """Return `value` as JSON with sorted keys and no white space; infinity as the string "inf"."""
    return json.dumps(_finite(value), sort_keys=True, separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
