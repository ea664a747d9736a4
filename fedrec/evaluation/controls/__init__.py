"""Recommenders that a run is put beside."""
