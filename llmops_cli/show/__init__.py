"""What people look at, whatever it is about: tables, pages, words, JUnit."""
