"""One attack at several epsilons: the data are prepared once, everything else is done anew for each."""

import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from fedrec.attacks.success import OperatingPoint
from fedrec.core.errors import ConfigError
from fedrec.core.progress import Progress
from fedrec.experiment.config import Experiment
from fedrec.run.preparation import prepare
from server.strategies.build import check_strategy

Attack = Callable[[Experiment, Path, Path, Progress], OperatingPoint]
"""Experiment, prepared folder and a new folder to work in -> success at the experiment's epsilon."""


def read_epsilons(text: str) -> list[float]:
    """Return the epsilons of a list such as "1,8,inf", each once, ascending.

    Raises:
        ConfigError: If one is no number above 0, or there is none.
    """
    try:
        found = sorted({float(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or not all(epsilon > 0 for epsilon in found) or any(map(math.isnan, found)):
        message = f"--epsilon = {text!r}: should be numbers above 0 with commas between them, such as 1,8,inf"
        raise ConfigError(message)
    return found


def at_epsilon(experiment: Experiment, epsilon: float) -> Experiment:
    """Return the experiment with that epsilon, checked.

    Raises:
        ConfigError: If its noise is given, so that no epsilon would change it; or as `check_strategy` does.
    """
    if (noise := experiment.privacy.noise_multiplier) is not None:
        message = (
            f"privacy.noise_multiplier={noise:g} fixes the noise, so success would be the same at every epsilon; "
            "leave it out"
        )
        raise ConfigError(message)
    changed = experiment.model_copy(update={"privacy": experiment.privacy.model_copy(update={"epsilon": epsilon})})
    check_strategy(changed)
    return changed


def curve(
    experiment: Experiment, epsilons: Sequence[float], attack: Attack, cache: Path, progress: Progress
) -> list[OperatingPoint]:
    """Return the attack's success at each epsilon; nothing that was trained is kept.

    Raises:
        ConfigError: As `at_epsilon` and the attack do; all epsilons are checked before any work.
        FedrecError: If the data cannot be had, or a round fails.
    """
    experiments, points = [at_epsilon(experiment, epsilon) for epsilon in epsilons], []
    with TemporaryDirectory(prefix="fedrec-attack-") as folder:
        prepared = prepare(experiments[0], Path(folder) / "prepared", cache, progress).folder
        progress("epsilons", 0, len(experiments))
        for number, one in enumerate(experiments, 1):
            place = Path(folder) / f"epsilon-{number}"  # a name of its own: processes remember runs by their folders
            points.append(attack(one, prepared, place, progress))
            shutil.rmtree(place)
            progress("epsilons", number, len(experiments))
    return points
