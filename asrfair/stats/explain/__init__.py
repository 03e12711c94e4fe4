"""What a gap may rest on: covariates, acoustics, single speakers, text rules, subgroups."""
