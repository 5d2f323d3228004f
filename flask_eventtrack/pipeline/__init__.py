"""From a record to a committed row, off the request path."""
