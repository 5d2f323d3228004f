"""A copy of events, sessions and orders in ClickHouse, which follows the commit log."""
