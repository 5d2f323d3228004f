"""Tables and SQL: how records become rows, each once, and how rows are erased again."""
