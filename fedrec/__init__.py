"""fedrec: federated recommendation, simulated under differential privacy."""
