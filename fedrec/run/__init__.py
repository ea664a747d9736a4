"""A run's folder: what is prepared, saved between rounds, and read back."""
