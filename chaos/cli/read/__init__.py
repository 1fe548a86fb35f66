"""Commands that read saved files: `check` and `report`, `check --history`, `trace` and `diff`, `explain`."""
