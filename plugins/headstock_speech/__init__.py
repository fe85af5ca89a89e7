"""Speech: backbones that hear, and automatic speech recognition."""
