"""A run's result: which adapter it is, and what is added to it once it is trained."""
