"""What validation users say of an adapter: volunteers exactly, others by sums with noise."""
