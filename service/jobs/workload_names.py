"""The names of workloads, from identifiers, by the engine's grammar. Pure."""

import hashlib
import re
from collections.abc import Sequence

from service.engine.name_grammar import NameGrammar
from service.jobs.model import Job, Kind

DEFAULT_INSTANCE = "default"


def base_name(identifier: str, instance: str, names: NameGrammar) -> str:
    """The name of an identifier's workload, without the suffix of a reaction or of development.

    This is the identifier, if the grammar allows it. Otherwise the identifier is cleaned and cut,
    and gets a hash. An identifier that looks hashed is hashed again, so no two identifiers share a
    name.
    """
    usable = len(identifier) <= names.longest and names.usable.fullmatch(identifier)
    if usable and instance == DEFAULT_INSTANCE and not names.is_hashed(identifier):
        return identifier
    digest = hashlib.sha256(f"{instance}\0{identifier}".encode()).hexdigest()[:12]
    cleaned = names.unclean.sub("-", identifier)[: names.longest_cleaned].strip("-_.")
    return f"{cleaned or 'job'}{names.mark}{digest}"


def workload_name(job: Job, instance: str, names: NameGrammar) -> str:
    """The name of a job's workload in production."""
    name = base_name(job.identifier, instance, names)
    return f"{name}-{job.launch_id}" if job.kind is Kind.REACTION else name


def highest_count(names: Sequence[str], base: str) -> int:
    """The highest count that development has appended to a name, or 0."""
    pattern = re.compile(re.escape(base) + r"-(\d{1,9})")
    counts = (pattern.fullmatch(name) for name in names)
    return max((int(match[1]) for match in counts if match), default=0)
