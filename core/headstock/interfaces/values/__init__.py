"""The values that pass between a plugin and the engine, and what is asked and said of data."""
