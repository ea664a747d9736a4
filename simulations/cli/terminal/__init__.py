"""What the command line shows in a terminal: bars, lines, errors, and one JSON object where it is asked for."""
