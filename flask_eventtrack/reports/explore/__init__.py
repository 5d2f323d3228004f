"""Reports that say why."""
