"""From a configuration to its cells: what will run, and why."""
