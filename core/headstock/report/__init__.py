"""What a run leaves to read: the result record, environment, plots, model card, the table at the end."""
