"""One trainer for every task: parameter updates, validation with early stopping, checkpoints, exact resume."""
