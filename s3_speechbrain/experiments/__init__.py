"""Grids of experiments: what they ask for, what is done already, and a command that runs the rest."""
