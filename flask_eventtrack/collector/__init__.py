"""The HTTP API: takes events from browsers and apps, and serves the script."""
