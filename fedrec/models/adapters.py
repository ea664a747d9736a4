"""What is trained and travels: everything else of the model is frozen.

An adapter opens a few parameters of a frozen base. LoRA is PEFT's (Hu et al. 2022), with A frozen FFA-LoRA (Sun et al.
2024); the bottleneck is that of Houlsby et al. 2019, bias-only is BitFit (Ben Zaken et al. 2022). A model's
parts (item projection, item bias, item delta) are opened beside any of them, as configured.
"""

import hashlib
from collections.abc import Callable, Mapping
from fnmatch import fnmatch

import torch
from torch import Tensor, nn
from torch.nn import functional

from fedrec.core.errors import ConfigError
from fedrec.core.registry import Registry
from fedrec.core.seeding import torch_generator_for
from fedrec.experiment.config import AdapterConfig
from fedrec.models.recommender import JOINT, Recommender

Attach = Callable[[Recommender, AdapterConfig, torch.Generator], None]
"""Opens parameters of a frozen model, adding modules if need be; the scores stay what they were."""

ADAPTERS: Registry[Attach] = Registry("adapter", group="fedrec.adapters")


def attach_(model: Recommender, config: AdapterConfig, seed: int) -> None:
    """Freeze the model and open the configured adapter; new weights are drawn by name from `seed`.

    Raises:
        ConfigError: If nothing would be trained, no parameter would travel, or a pattern of `config.private` keeps
            nothing back (a misspelt one would let travel what should not).
    """
    model.requires_grad_(requires_grad=False)
    ADAPTERS.get(config.name)(model, config, torch_generator_for(seed, "adapter"))
    for part in model.parts:
        if getattr(config, part):
            getattr(model, part).requires_grad_(requires_grad=True)
    for name, module in model.named_children():
        if name == JOINT:
            module.requires_grad_(requires_grad=True)
    trained = list(trained_parameters(model))
    if idle := [pattern for pattern in config.private if not any(fnmatch(name, pattern) for name in trained)]:
        message = f"adapter.private: {', '.join(idle)} matches no trained parameter; there are {', '.join(trained)}"
        raise ConfigError(message)
    if not shared_parameters(model, config):
        why = f"adapter.private keeps all {len(trained)} back" if trained else f"adapter {config.name!r} opens none"
        message = f"no trained parameter would travel: {why}; open adapter.item_projection, or keep less private"
        raise ConfigError(message)


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the open parameters by name, in the model's order."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def shared_parameters(model: Recommender, config: AdapterConfig) -> dict[str, nn.Parameter]:
    """Return the open parameters that travel."""
    return {name: p for name, p in trained_parameters(model).items() if not is_private(name, model, config)}


def is_private(name: str, model: Recommender, config: AdapterConfig) -> bool:
    """Return whether a parameter stays with its client: the model's scope or a pattern of `config.private` says so."""
    return model.stays(name) or any(fnmatch(name, pattern) for pattern in config.private)


def load_parameters_(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Copy `values` into the model's parameters of the same names."""
    with torch.no_grad():
        for name, value in values.items():
            model.get_parameter(name).copy_(value)


@ADAPTERS.register("lora")
def lora_(model: Recommender, config: AdapterConfig, generator: torch.Generator) -> None:
    """Low-rank updates of the target modules; A is normal 1/rank, B is 0: the model starts as its base.

    With `freeze_a` only B is open: half of the numbers, and an update that is linear in them, so that the mean of many
    updates is the update of the mean, and noise on B is not multiplied by noise on A (Sun et al. 2024).
    """
    from peft import LoraConfig, inject_adapter_in_model  # takes two seconds, and most commands attach no LoRA

    known = {name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    unknown = sorted(set(config.targets) - known)
    if not known:
        message = "adapter.name = 'lora': this model has no linear module; choose adapter.name = 'full'"
        raise ConfigError(message)
    if unknown or not config.targets:
        named = ", ".join(unknown) or "nothing"
        message = f"adapter.targets names {named}; this model's linear modules are {', '.join(sorted(known))}"
        raise ConfigError(message)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name.rsplit(".", 1)[-1] in config.targets:
            _require_narrow(config.rank, min(module.in_features, module.out_features), name)
    settings = LoraConfig(r=config.rank, lora_alpha=config.rank, target_modules=list(config.targets), bias="none")
    inject_adapter_in_model(settings, model)
    for name, parameter in model.named_parameters():
        if "lora_A" in name:
            nn.init.normal_(parameter, std=1 / config.rank, generator=generator)
            parameter.requires_grad = not config.freeze_a


def _require_narrow(rank: int, width: int, layer: str) -> None:
    """Refuse a rank above a layer's width: it takes more memory than the whole layer, and can say no more.

    Raises:
        ConfigError: If it is.
    """
    if rank > width:
        message = f"adapter.rank = {rank}: the layer {layer} is {width} wide; lower it to at most {width}"
        raise ConfigError(message)


@ADAPTERS.register("bottleneck")
def bottleneck_(model: Recommender, config: AdapterConfig, generator: torch.Generator) -> None:
    """A narrow residual layer behind every linear `output` and `contract`: the attention's and the feed-forward's."""
    for place, module in list(model.named_modules()):
        for target in ("output", "contract"):
            layer = getattr(module, target, None)
            if isinstance(layer, nn.Linear):
                _require_narrow(config.rank, layer.out_features, f"{place}.{target}")
                setattr(module, target, Bottleneck(layer, config.rank, generator))


@ADAPTERS.register("bias")
def bias_(model: Recommender, config: AdapterConfig, generator: torch.Generator) -> None:
    """Every bias vector of the blocks and norms, and no matrix."""
    del config, generator
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.endswith(".bias") and not name.startswith(model.parts)


@ADAPTERS.register("none")
def none_(model: Recommender, config: AdapterConfig, generator: torch.Generator) -> None:
    """Nothing of the transformer: only the parts that are opened beside (item projection, bias and delta)."""
    del model, config, generator


@ADAPTERS.register("full")
def full_(model: Recommender, config: AdapterConfig, generator: torch.Generator) -> None:
    """The whole transformer: the reference that adapters are measured against."""
    del generator, config
    model.requires_grad_(requires_grad=True)
    for part in model.parts:
        getattr(model, part).requires_grad_(requires_grad=False)


class Bottleneck(nn.Module):
    """`layer(x) + up(gelu(down(layer(x))))`; `up` starts at 0, so the model starts as its base."""

    def __init__(self, layer: nn.Linear, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(layer.out_features, rank)
        self.up = nn.Linear(rank, layer.out_features)
        nn.init.normal_(self.down.weight, std=layer.out_features**-0.5, generator=generator)
        for start in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(start)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the wrapped layer's output with its correction."""
        out: Tensor = self.layer(hidden)
        corrected: Tensor = out + self.up(functional.gelu(self.down(out)))
        return corrected


def parameters_sha256(parameters: Mapping[str, Tensor]) -> str:
    """Return the hash of an adapter: names, shapes and bits, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(parameters):
        digest.update(f"{name}{list(parameters[name].shape)}".encode())
        digest.update(parameters[name].contiguous().numpy().tobytes())
    return digest.hexdigest()
