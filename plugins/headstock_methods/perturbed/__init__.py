"""Methods that move the input or the weights before the loss is taken."""
