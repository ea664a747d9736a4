"""Attacks and audits on real runs: the production code with observers in it."""
