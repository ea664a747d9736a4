"""Recommenders whose layers are a language model's own."""
