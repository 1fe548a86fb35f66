"""Reports for programs: `json`, `junit`, `github`, and `perfetto` (in the format of `trace_events`)."""
