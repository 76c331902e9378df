"""From the words of the command line to one checked configuration."""
