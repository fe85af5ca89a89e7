"""One optimizer step: gradient, update, precision, memory."""
