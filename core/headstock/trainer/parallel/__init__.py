"""Several GPUs: replicated (DDP) or sharded (FSDP2) models."""
