"""What users say of answers: who may rate which, what is kept of it, and where."""
