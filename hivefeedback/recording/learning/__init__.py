"""Runs become cells, rewards and what the policy learns."""
