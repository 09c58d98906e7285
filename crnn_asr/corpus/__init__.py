"""Utterances, manifests, importers."""
