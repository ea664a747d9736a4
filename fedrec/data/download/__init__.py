"""Public files, fetched once and checked by hash."""
