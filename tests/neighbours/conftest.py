"""Tests with other people's extensions: a module for each, with the real thing."""

from __future__ import annotations
