"""The command line, a file a command; what takes seconds to import is imported inside."""
