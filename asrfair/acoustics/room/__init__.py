"""A noise profile from recordings of a room: what in them is usable noise, and what that noise is made of."""
