"""The Flower ClientApp: unpack, train, pack."""
