"""Types of the manifests, one module for each kind: generated, and only for the type checker."""
