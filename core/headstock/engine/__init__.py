"""Runs recipes: prepares data and model, trains, tests before and after, saves; and uses what was saved."""
