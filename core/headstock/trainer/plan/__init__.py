"""Which examples make up which batch, step and rank."""
