"""Training methods for any task and backbone: adversarial training, consistency, mixing, averages of weights."""
