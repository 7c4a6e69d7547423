"""From gateway.yaml to the files that run it elsewhere: manifests, images, monitoring."""
