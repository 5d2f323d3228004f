"""An archive: events and sessions as Parquet files, a file a day, in a folder or under a URL."""
