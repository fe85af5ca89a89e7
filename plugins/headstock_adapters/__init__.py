"""Adapters: ways to tune a backbone, from all of its weights down to none of them."""
