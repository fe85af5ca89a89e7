"""Image backbones and the image-classification task for Headstock."""
