"""The page, figures and tables of a sweep."""
