"""Where noise comes from, one kind of source a file; ``base.SOURCES`` is the table of their names."""
