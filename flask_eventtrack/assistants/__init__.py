"""Reports for assistants, over the Model Context Protocol, for reading only."""
