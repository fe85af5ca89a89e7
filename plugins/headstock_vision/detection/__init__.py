"""Finding objects in images: boxes, a head over feature maps, average precision."""
