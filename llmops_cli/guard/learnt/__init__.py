"""The guard's learnt stage: a logistic model over words and their pairs."""
