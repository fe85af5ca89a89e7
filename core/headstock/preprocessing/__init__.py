"""From rows to preprocessed examples, once: read, checked, cached on disk by content, put together into batches."""
