"""How recommendations are measured: pure functions of ranks, lists and predictions."""
