"""What is kept in the cache: folders that are made once and checked by digest."""
