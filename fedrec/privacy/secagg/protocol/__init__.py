"""The protocol of secure aggregation: what clients and server do and send, step by step."""
