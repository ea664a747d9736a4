"""What every room uses: errors, files, named draws, named plug-ins."""
