"""What a model may use while it answers: each tool is bounded, and reaches what was declared."""
