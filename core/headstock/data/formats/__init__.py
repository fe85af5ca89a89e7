"""One module for each form in which a table can lie on disk."""
