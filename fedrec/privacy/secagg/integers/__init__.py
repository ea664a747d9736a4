"""From real vectors to the integers that are added up in secret, their noise included, and back."""
