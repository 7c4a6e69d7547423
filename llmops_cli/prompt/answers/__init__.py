"""How an answer is read from what a model wrote: a declared step, strictly and leniently."""
