"""Command line, runner, engines and scenarios."""
