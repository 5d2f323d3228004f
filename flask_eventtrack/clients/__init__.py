"""The client of a request: bot or person, browser, system and country. Pure."""
