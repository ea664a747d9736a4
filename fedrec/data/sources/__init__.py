"""Loaders, one file a source; each registers itself in `fedrec.data.sources.base.DATASETS`."""
