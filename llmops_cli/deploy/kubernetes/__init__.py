"""Manifests of a cluster, a module for each thing that it has."""
