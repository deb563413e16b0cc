"""Benchmarks against floors and peers of the same run; no timed tests."""
