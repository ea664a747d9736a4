"""What every plug-in of a kind must keep, as tests to inherit: a user's own plug-in is tested by one line.

Each module has one contract, a class of tests for pytest, which must be installed. In a test file of your own:

```python
from simulations.testing.strategies import StrategyContract


class TestMine(StrategyContract):
    plugin = "mine.py:Mine"  # beside this file; or package.module:Class, or a registered name
```

The laws are about the kind, not about numbers. What is your plug-in's own, such as a result by hand arithmetic, is a
test of your own, in the same class if you like.
"""

import pkgutil

import pytest

# so that a law that fails shows the values
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))
