"""The faults: one file for each family, with everything about its kinds.

Read in this order: `names` (how a fault names nodes), `grudge` (who does not hear whom), `domain` and `limits` (values
of fields), `strike` (one fault in a run, as its kind sees it), `action` (the base of all kinds), `downtime` (the base
of kinds whose nodes stop), `links` (the effect of faults on links), `survivors` (when a fault would leave no quorum).
Then the families: `process`, `disk`, `partition`, `network`, `clock`, `wipe`. `families` lists these, and `catalogue`
has all kinds by name.
"""
