"""Text for Headstock: backbones, text classification and token classification."""
