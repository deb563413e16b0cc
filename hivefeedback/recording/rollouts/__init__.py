"""What open rollouts are told: harm tests, units, and who learns once they are over."""
