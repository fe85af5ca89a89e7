"""Encoders of text: any encoder of the transformers library, and two small ones made from scratch."""
