"""Manifests of a worker's objects. Pure: values in, dictionaries for server-side apply out."""
