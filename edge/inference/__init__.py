"""Running models: manifests, the store, the backends."""
