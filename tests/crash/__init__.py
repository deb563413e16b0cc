"""Processes that are killed at random instants while they share a store, and the audit of what they leave."""
