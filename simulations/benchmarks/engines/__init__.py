"""How fast clients are trained, on each engine and beside other simulators."""
