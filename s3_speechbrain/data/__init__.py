"""Corpora turned into manifests: reading, cleaning, checking and drawing subsets of speech data."""
