"""The console script `fedrec`: finds the app's root and runs its command line.

The root holds `simulations`, `server` and `clients`: the bundled app of an installed fedrec, or the checkout.
Like Flower with an app bundle, it goes first on the import path, so that each module has one name everywhere. The
working folder goes last, as the folder of an experiment's file does later (`fedrec.core.own_code`): a strategy of one's
own that lies there is found by name, and nothing there hides anything.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

from fedrec.core.app import QUIET_DEFAULTS, app_root


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    for name, value in QUIET_DEFAULTS.items():
        os.environ.setdefault(name, value)
    root, here = str(app_root()), str(Path.cwd())
    sys.path[:] = [root, *(entry for entry in sys.path if entry not in {root, here, ""}), here]
    import_module("simulations.cli.app").app()


if __name__ == "__main__":
    main()
