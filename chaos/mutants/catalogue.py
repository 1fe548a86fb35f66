"""All mutants by id, with where each mistake was made for real and what it breaks."""

from __future__ import annotations

from chaos.mutants.commitment import COMMITMENT
from chaos.mutants.elections import ELECTIONS
from chaos.mutants.mutant import Mutant
from chaos.mutants.reads import READS
from chaos.mutants.replication import REPLICATION

MUTANTS: dict[str, Mutant] = {mutant.id: mutant for mutant in (*ELECTIONS, *REPLICATION, *COMMITMENT, *READS)}
