"""Write the golden numbers anew: `python -m tests.golden.regenerate`, and a line in CHANGELOG.md under [Breaking]."""

import json
import tempfile
from pathlib import Path

from fedrec.core.places import default_cache
from fedrec.experiment.config import Experiment, canonical_json
from tests.golden.golden import FILE, numbers_of, read


def main() -> None:
    """Run every golden experiment and replace its numbers."""
    entries = read()
    for name, entry in entries.items():
        with tempfile.TemporaryDirectory() as folder:
            whole = Experiment.model_validate(entry["experiment"]).model_dump(mode="json")
            entry["experiment"] = json.loads(canonical_json(whole))
            entry["numbers"] = numbers_of(entry["experiment"], default_cache(), Path(folder) / name)
    FILE.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
