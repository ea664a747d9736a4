"""Asking all clients for one vector before the first round, and what comes of it."""
