"""Client work as pure functions."""
