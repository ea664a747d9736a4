"""Where the app lies that `fedrec` runs, and its environment."""

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

    The bundle is looked for first: beside an installed fedrec may lie somebody else's `simulations`.
    """
    package = Path(__file__).resolve().parents[1]
    bundled = package / "_app"
    return bundled if bundled.is_dir() else package.parent
