"""Which device clients train on."""

import warnings

import torch

from fedrec.core.errors import ConfigError

DEVICES = ("cpu", "cuda")


def usable(device: str) -> str:
    """Return the device if this machine has it; else `cpu`, with a warning.

    Raises:
        ConfigError: If it is none of `DEVICES`.
    """
    if device not in DEVICES:
        message = f"--device {device}: should be one of {', '.join(DEVICES)}"
        raise ConfigError(message)
    if device == "cuda" and not torch.cuda.is_available():
        warnings.warn("no CUDA device can be used here; clients train on the CPU", stacklevel=2)
        return "cpu"
    return device
