"""Fault injection: real servers are killed, starved and cut off, and nothing acknowledged is lost.

The suite runs a little of each; ``make soak`` runs the whole, and prints its figures.
"""
