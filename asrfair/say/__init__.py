"""What may be said of the tables, and how numbers are said to people."""
