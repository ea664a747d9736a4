"""Intervals and tests, of one run and over several user splits and seeds, and the evaluations that they are made of."""
