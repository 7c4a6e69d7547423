"""What a run tells while it goes, and how what goes wrong is found and named."""
