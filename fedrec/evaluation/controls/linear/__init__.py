"""Linear recommenders as controls: items that go together, what comes next, and both; a file each."""

from fedrec.evaluation.controls.linear import ease, linear_next_item, linear_sum

__all__ = ["ease", "linear_next_item", "linear_sum"]
