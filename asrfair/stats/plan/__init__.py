"""What could have been seen, and how many speakers a difference needs."""
