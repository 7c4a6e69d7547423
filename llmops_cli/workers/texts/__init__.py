"""What is done with texts alone, in any Python."""
