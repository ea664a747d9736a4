"""What mechanisms cost: prices of noise, of draws, of tuning, and how cohorts and filters change them."""
