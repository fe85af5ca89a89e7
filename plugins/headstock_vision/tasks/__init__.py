"""What is learned from images."""
