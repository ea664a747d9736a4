"""The console script `fedrec`: finds the app's root and runs its command line.

The root holds `simulations`, `server` and `clients`: the bundled app of an installed fedrec, or the checkout.
Like Flower with an app bundle, it goes first on the import path, so that each module has one name everywhere. The
working folder goes last, as the folder of an experiment's file does later (`fedrec.own_code`): a strategy of one's own
that lies there is found by name, and nothing there hides anything.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

QUIET_DEFAULTS = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Nothing phones home and nothing installs itself, unless the user's environment says so."""


def app_root() -> Path:
    """Return the bundled app's folder, or the checkout's root where nothing is bundled.

    The bundle is looked for first: beside an installed fedrec may lie a stranger's `simulations`.
    """
    package = Path(__file__).resolve().parent
    bundled = package / "_app"
    return bundled if bundled.is_dir() else package.parent


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    for name, value in QUIET_DEFAULTS.items():
        os.environ.setdefault(name, value)
    root, here = str(app_root()), str(Path.cwd())
    sys.path[:] = [root, *(entry for entry in sys.path if entry not in {root, here, ""}), here]
    import_module("simulations.cli").app()


if __name__ == "__main__":
    main()
