"""What enters and leaves a model, judged by a policy.

Attacks, hidden text, personal data, secrets, leaks.
"""
