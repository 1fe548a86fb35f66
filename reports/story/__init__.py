"""How a violation came about.

Read in this order: `happens_before` (what came before some events of a trace), `causes` (what made an event possible),
`relevance` (which of them matter), `annotations` (what to say beside them), `story` (the listing), `mermaid` (the same
as a sequence diagram).
"""
