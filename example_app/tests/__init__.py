"""The shop's tests: what it records, and what it must not."""
