"""The Flower ServerApp, the base strategy and the strategies."""
