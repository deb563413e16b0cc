"""Stores: memory, one JSON file, SQLite (the default)."""
