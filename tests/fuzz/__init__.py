"""Made-up requests to the collector, in histories of several people and two processes."""
