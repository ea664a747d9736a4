"""Files of a user's own: how they are laid out, written and read."""
