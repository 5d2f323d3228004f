"""The testing kit: what tests capture, what they assert of it, and a plugin for pytest.

pytest imports :mod:`.plugin` whenever it starts, so nothing is imported here.
"""
