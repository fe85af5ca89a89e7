"""The adapter ``peft``: every method of the peft library that can tune an encoder."""
