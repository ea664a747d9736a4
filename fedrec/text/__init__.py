"""Item text to item vectors."""
