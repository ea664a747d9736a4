"""The pages of attacks and audits."""
