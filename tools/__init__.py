"""Generators of committed files: development only, in no package."""
