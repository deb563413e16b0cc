"""What comes in: checked, named, judged by the collect hooks; what is refused is a dead letter."""
