"""What others train: scripts after those of transformers and torchvision, and Lightning's loop."""
