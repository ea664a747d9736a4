"""What a run was computed with: two runs with the same seed can differ only where this differs."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from fedrec.core.revision import revision

PACKAGES = ("fedrec", "torch", "flwr", "ray", "opacus", "peft", "transformers", "dp-accounting", "numpy")

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "MKL_NUM_THREADS",
    "MKL_CBWR",
    "CUBLAS_WORKSPACE_CONFIG",
)
"""They decide how many threads share a sum, and which kernel adds it up: the last bits of a result hang on them."""


def environment() -> dict[str, str]:
    """Return Python, the machine, the versions of what computes, and the variables that change its bits.

    In a checkout the commit, too, and whether files were changed since (see `fedrec.core.revision`). Nothing names the
    user or the machine. A package that is absent is "not installed", a variable "not set".
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": str(os.cpu_count() or "unknown"),
        **{name: _version(name) for name in PACKAGES},
        **revision(),
        **{name: os.environ.get(name, "not set") for name in VARIABLES},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
