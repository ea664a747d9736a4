"""Metrics, the ranking protocol and the controls."""
