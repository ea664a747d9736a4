"""What every contract shares: which plug-in it is about, by name."""

import sys
from pathlib import Path

import pytest

from fedrec.core.own_code import file_in


class Contract:
    """A class of tests that a subclass inherits.

    Attributes:
        plugin: The plug-in as an experiment names it: registered, `package.module:Thing` or `file.py:Thing`. A file is
            looked for beside the test.
    """

    plugin: str

    @pytest.fixture(name="plugin")
    def named(self) -> str:
        """The plug-in, a file by its whole path; `parametrize("plugin", NAMES)` over the class tests several."""
        place = sys.modules[type(self).__module__].__file__ or ""
        return str(Path(place).parent / self.plugin) if file_in(self.plugin) else self.plugin
