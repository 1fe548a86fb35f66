"""Commands that look at what was saved: `check` and `report`, `check --history`, `trace` and `diff`, `explain`."""
