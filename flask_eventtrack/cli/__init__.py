"""The commands of ``flask eventtrack``."""
