"""Reports for programs: `json`, `junit`, `github`."""
