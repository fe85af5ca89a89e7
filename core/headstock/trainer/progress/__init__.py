"""What is logged while training, and what stops it."""
