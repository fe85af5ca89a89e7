"""A model that is tuned: the module, its files, checks of both."""
