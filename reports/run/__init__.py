"""One run's report: `model` (its data), `layout` (the tables that it shows, and their texts), `pages` (the whole)."""
