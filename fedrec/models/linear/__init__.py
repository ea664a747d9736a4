"""Linear recommenders: which items go together, what a fading history is, and the branch beside a model."""
