"""The last-mile kit: a customer measures the recogniser in its own rooms, and nothing but counts leaves the site."""
