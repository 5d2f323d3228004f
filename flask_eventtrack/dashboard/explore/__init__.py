"""Pages that say why."""
