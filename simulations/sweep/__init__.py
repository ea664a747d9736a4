"""`fedrec sweep`: a grid of experiments, each a run of its own, several at once, resumable, read together."""
