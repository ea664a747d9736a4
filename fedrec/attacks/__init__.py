"""What somebody may learn from what a run gives away."""
