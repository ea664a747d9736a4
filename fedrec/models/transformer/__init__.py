"""What the default recommender is made of."""
