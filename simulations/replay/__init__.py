"""Training as the data arrive: each window of time is first predicted, then trained on."""
