"""The catalogue for teams: exported for other tools, compared with what was committed, and used."""
