"""The adapter ``bottleneck``: small layers of two matrices inside the blocks of a transformer."""
