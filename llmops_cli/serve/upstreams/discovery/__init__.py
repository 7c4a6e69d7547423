"""Who the members of an upstream are: names and files that are looked up again and again."""
