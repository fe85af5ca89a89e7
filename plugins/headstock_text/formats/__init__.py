"""Forms of data that only text tasks have."""
