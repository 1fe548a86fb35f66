"""One run's report: `model` (all its tables), `layout` (which ones it shows, and their texts), `pages` (the whole)."""
