"""The current request: who makes it, what may be recorded, and the cookies of its answer."""
