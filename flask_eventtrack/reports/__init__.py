"""Queries of the store, answered with typed rows."""
