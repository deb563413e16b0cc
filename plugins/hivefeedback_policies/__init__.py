"""Policies: how calls are shared among deployments. One algorithm, one file."""
