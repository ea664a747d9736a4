"""Every registered adapter keeps the contract, and ours a little more; a new one from the day it is registered."""

import pytest
import torch

from fedrec.core.errors import ConfigError
from fedrec.models.adapters import ADAPTERS, attach_, is_private, shared_parameters, trained_parameters
from fedrec.models.recommender import build_model
from fedrec.training.client import train_client
from simulations.testing.adapters import AdapterContract
from tests.handmade import batch, context, experiment, inputs, losses, moved, plan, task

HISTORY = torch.tensor([[0, 1, 2, 3], [4, 4, 4, 0], [5, 5, 0, 0]])
TARGET = torch.tensor([[1, 2, 3, 4], [4, 4, 6, -1], [5, -1, -1, -1]])
SAMPLE = torch.tensor([6, 1, 1, 4])

every_adapter = pytest.mark.parametrize("name", ADAPTERS.names())
BESIDE = [
    {"item_projection": True, "item_bias": True, "item_delta": True},
    {"item_projection": True, "item_bias": False, "item_delta": False},
    {"item_projection": False, "item_bias": True, "item_delta": False},
]


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("plugin", ADAPTERS.names())
class TestEveryAdapter(AdapterContract):
    """The contract that a user's own adapter inherits, too."""


def adapter(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "rank": 2, "item_delta": True, **more}


@every_adapter
def test_starts_as_its_base(name):
    wanted = experiment(adapter=adapter(name))
    model = build_model(wanted, inputs(single=True))
    base = model(batch(HISTORY))
    attach_(model, wanted.adapter, wanted.seed)
    torch.testing.assert_close(model(batch(HISTORY)), base, rtol=0, atol=1e-6)


@every_adapter
def test_new_weights_are_drawn_by_name(name):
    drawn = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        wanted = experiment(adapter=adapter(name))
        model = build_model(wanted, inputs(single=True))
        attach_(model, wanted.adapter, wanted.seed)
        drawn.append(torch.cat([parameter.flatten() for parameter in trained_parameters(model).values()]))
    assert torch.equal(*drawn)


@every_adapter
def test_every_open_parameter_can_learn_and_the_base_stays(name):
    made = context(adapter=adapter(name))
    losses(made.model, HISTORY, TARGET, None).sum().backward()
    trained = trained_parameters(made.model)
    # a key's bias shifts all scores of a query alike, which a softmax does not see
    still = [n for n, p in trained.items() if p.grad is None or not (p.grad.abs() > 0).any()]
    assert [name for name in still if not name.endswith("key.bias")] == []
    assert all(p.grad is None for n, p in made.model.named_parameters() if n not in trained)


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@every_adapter
@pytest.mark.parametrize("beside", BESIDE, ids=["all", "item_projection", "bias"])
@pytest.mark.parametrize("negatives", [None, SAMPLE], ids=["full", "sampled"])
def test_opacus_gradients_are_those_of_each_example_alone(name, beside, negatives):
    """Within 1e-6 (float64 leaves about 1e-15), with repeated items in a history and in its targets."""
    made = context(adapter=adapter(name, **beside), privacy=plan("local"))
    losses(made.per_example_model, HISTORY, TARGET, negatives).sum().backward()
    found = {n: parameter.grad_sample for n, parameter in trained_parameters(made.per_example_model).items()}
    alone = context(adapter=adapter(name, **beside))
    trained = trained_parameters(alone.model)
    for row in range(len(HISTORY)):
        loss = losses(alone.model, HISTORY[row : row + 1], TARGET[row : row + 1], negatives).sum()
        for (n, _), gradient in zip(trained.items(), torch.autograd.grad(loss, list(trained.values())), strict=True):
            torch.testing.assert_close(found[n][row], gradient, rtol=0, atol=1e-6)


@every_adapter
@pytest.mark.parametrize("trust", ["none", "local"])
def test_only_the_adapter_travels_and_something_is_trained(name, trust):
    made = context(adapter=adapter(name, private=["item_bias*", "item_delta*"]), privacy=plan(trust))
    frozen = {n: p.clone() for n, p in made.model.named_parameters() if not p.requires_grad}
    update = train_client(made, task(made))
    private = {n for n in made.start if is_private(n, made.model, made.experiment.adapter)}
    assert set(update.private) == private == {"item_bias.weight", "item_delta.weight"}
    assert set(update.parameters) == set(made.start) - private == set(made.shared_start)
    assert moved(update.parameters, made.start).abs().max() > 0
    assert moved(update.private, made.start).abs().max() > 0
    after = dict(made.model.named_parameters())
    assert all(torch.equal(after[n], value) for n, value in frozen.items())


@every_adapter
def test_an_update_is_as_many_bytes_as_its_numbers(name):
    wanted = experiment(adapter=adapter(name))
    model = build_model(wanted, inputs(single=True))
    attach_(model, wanted.adapter, wanted.seed)
    travels = shared_parameters(model, wanted.adapter)
    assert sum(p.nbytes for p in travels.values()) == 4 * sum(p.numel() for p in travels.values()) > 0


def test_the_default_adapters_size_is_what_its_parts_add_up_to():
    # width 8, 5 dimensions, 7 items, rank 2: four square matrices of 2 * (8 + 8), two of 2 * (8 + 32),
    # item projection 5 * 8 + 8, bias 7
    made = context()
    assert sum(value.numel() for value in made.shared_start.values()) == 4 * 32 + 2 * 80 + 48 + 7


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_with_a_frozen_only_b_is_trained_and_a_is_what_it_would_have_been():
    whole = context(adapter=adapter("lora"))
    made = context(adapter=adapter("lora", freeze_a=True), privacy=plan("local"))
    assert set(made.start) == {name for name in whole.start if "lora_A" not in name}
    wanted = [experiment(adapter=adapter("lora", freeze_a=freeze)) for freeze in (False, True)]
    models = [build_model(one, inputs()) for one in wanted]
    for model, one in zip(models, wanted, strict=True):
        attach_(model, one.adapter, one.seed)
    drawn = [{n: p for n, p in model.named_parameters() if "lora_A" in n} for model in models]
    assert len(drawn[0]) == 6
    assert all(torch.equal(drawn[1][name], value) for name, value in drawn[0].items())
    frozen = {n: p.clone() for n, p in made.per_example_model.named_parameters() if not p.requires_grad}
    assert moved(train_client(made, task(made)).parameters, made.start).abs().max() > 0
    after = dict(made.per_example_model.named_parameters())
    assert all(torch.equal(after[n], value) for n, value in frozen.items())


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"name": "lorra"}, "unknown adapter 'lorra'; did you mean 'lora'"),
        ({"targets": ["querry"]}, "adapter.targets names querry; this model's linear modules are contract, expand"),
        ({"targets": []}, "adapter.targets names nothing"),
        ({"name": "none", "item_projection": False, "item_bias": False}, "would travel: adapter 'none' opens none"),
        ({"private": ["*"]}, "would travel: adapter.private keeps all 15 back"),
        (
            {"private": ["item_bais*"]},
            r"item_bais\* matches no trained parameter; there are item_projection.weight",
        ),
    ],
)
def test_what_cannot_work_is_an_error_that_says_so(config, said):
    wanted = experiment(adapter=config)
    with pytest.raises(ConfigError, match=said):
        attach_(build_model(wanted, inputs()), wanted.adapter, 0)


def test_an_unknown_model_is_an_error():
    with pytest.raises(ConfigError, match="unknown model 'text_transfomer'; did you mean 'text_transformer'"):
        build_model(experiment(model={"name": "text_transfomer"}), inputs())


def test_a_private_parameter_keeps_what_its_client_learnt():
    made = context(adapter=adapter("lora", private=["item_bias*"]))
    first = train_client(made, task(made))
    train_client(made, task(made, client=2))
    again = train_client(made, task(made, round=2, private=first.private))
    nothing_kept = train_client(made, task(made, round=2))
    assert not torch.equal(again.private["item_bias.weight"], nothing_kept.private["item_bias.weight"])


@pytest.mark.parametrize("name", ["lora", "bottleneck"])
def test_a_rank_above_a_layers_width_is_refused_before_it_takes_memory(name: str) -> None:
    made = experiment(adapter=adapter(name, rank=100_000))
    with pytest.raises(ConfigError, match=r"adapter\.rank = 100000: the layer \S+ is \d+ wide; lower it"):
        attach_(build_model(made, inputs()), made.adapter, made.seed)
