"""Commands that make a failure happen again: `replay`, `shrink`, `repro`."""
