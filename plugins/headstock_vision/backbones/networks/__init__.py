"""What backbones that wrap a classification network of torchvision, or one of its kind, are made of."""
