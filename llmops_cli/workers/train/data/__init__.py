"""What is trained on: from files to rows of tokens."""
