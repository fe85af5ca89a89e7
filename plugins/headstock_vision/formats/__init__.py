"""Forms of data that only image tasks have."""
