"""Recommender models and the adapters that travel."""
