"""The controller: breaks a cluster on purpose, drives clients against it, and records what happened.

A failure's way through the folders: seed, `schedule`, `run`, `judgement`, `shrink`, `reproduction`. Each folder imports
only folders above it in this list:

    faults          what can go wrong, as data: one file a family
    mutants         our Raft with exactly one mistake, to judge the judges
    processes       children that never outlive their owner
    schedule        from a seed to what is to happen
    targets         systems under test
    judgement       of a run: its counts, whether it is vacuous, its verdict
    run             one run, in virtual time (`sim`, `lockstep`) and in real time (`live`)
    campaign        many seeds, and the proof that one seed is one trace
    matrix          which invariant convicts which mutant
    execution       a run as the bare order of its nodes' inputs
    replay          the nodes of a saved run, lived again from their journals
    reproduction    the file that holds one failure
    shrink          from a failure to a small one
    exploration     looks for what chance does not find, and for where a failure was decided
    doctor          whether the description of a target is right
    testing         for a user's own tests: hypothesis, and transcripts
    cli             the command line

Two pairs stand the other way round than the story goes: a run calls the judgement, and shrinking writes the
reproduction file.
"""
