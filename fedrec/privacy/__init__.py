"""Mechanisms, their price, and what may be claimed."""
