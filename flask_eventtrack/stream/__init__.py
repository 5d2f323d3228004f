"""Records on their way from web processes to workers, in a stream of Redis."""
