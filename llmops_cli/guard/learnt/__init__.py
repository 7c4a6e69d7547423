"""The guard's learnt second stage: a logistic model over words and their pairs."""
