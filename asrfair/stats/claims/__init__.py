"""What was asked of the data: each hypothesis with its test, its adjusted p-value and its interval, in one table."""
