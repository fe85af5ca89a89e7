"""Speech encoder-decoders of the transformers library, which write transcripts."""
