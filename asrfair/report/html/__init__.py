"""The page of a run: its parts, one module each; :mod:`asrfair.report.html.page` puts them together."""
