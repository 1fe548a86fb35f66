"""One run's report: `model` (all its tables), `layout` (which ones are shown, in which words), `pages` (the whole)."""
