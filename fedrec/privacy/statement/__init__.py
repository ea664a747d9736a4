"""What may be claimed, in words and numbers."""
