"""The run directory and what people read of it."""
