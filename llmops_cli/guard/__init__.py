"""What enters and leaves a model, judged by a policy: attacks, hidden text, personal data, secrets,
leaks.
"""
