"""Benchmarks that a stranger can run."""
