"""How a violation came about.

Read in this order: `happens_before` (the events before some others), `causes` (what made an event possible),
`relevance` (which of them matter), `annotations` (notes beside them), `story` (the listing), `mermaid` (the same as a
sequence diagram), `causality` (the chance that it happens, after each step).
"""
