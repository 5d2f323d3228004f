"""The events that may be recorded: definitions, validation, built-in events, allow lists."""
