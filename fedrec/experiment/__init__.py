"""An experiment as a value: its sections, files, settings and mistakes."""
