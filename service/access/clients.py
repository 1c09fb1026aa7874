"""The clients, the jobs that each of them may touch, and how a call's credentials identify one."""

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, partial
from hashlib import sha256
from hmac import compare_digest

from service.access.roles import Role

ANONYMOUS = "anonymous"

# gRPC takes 16 KiB of metadata. A client that ignores its settings may send megabytes.
_LONGEST_TOKEN = 16 * 2**10
_LONGEST_JOB_NAME = 128


class JobScope:
    """The jobs that a client may touch, as patterns of their names; None stands for all."""

    def __init__(self, patterns: Sequence[str] | None = None) -> None:
        self.patterns = patterns
        self._match = None if patterns is None or "*" in patterns else _any_of(patterns)

    @property
    def is_everything(self) -> bool:
        """Whether it has every job, whatever its name."""
        return self._match is None

    def allows(self, job: str) -> bool:
        if self._match is None:
            return True
        return len(job) <= _LONGEST_JOB_NAME and self._match(job) is not None

    def __str__(self) -> str:
        return "all jobs" if self.patterns is None else ", ".join(self.patterns)


def _any_of(patterns: Sequence[str]) -> Callable[[str], object]:
    return re.compile("|".join(map(fnmatch.translate, patterns))).match


ALL_JOBS = JobScope()


@dataclass(frozen=True, slots=True, eq=False)
class Client:
    """A client of the access file, or the one for calls without a credential."""

    name: str
    role: Role
    jobs: JobScope = ALL_JOBS

    @property
    def is_stranger(self) -> bool:
        """Whether it has shown no credential."""
        return self.name == ANONYMOUS


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials of a client. Of tokens, only the SHA-256 is known."""

    client: Client
    digests: Collection[bytes] = ()
    certificates: Collection[str] = ()


class Reason(StrEnum):
    """Why a call was refused. Values are labels of a metric."""

    MISSING = "missing"  # no credential, and strangers may do nothing
    UNKNOWN = "unknown"  # a credential of no client
    DENIED = "denied"  # a known client that may not do this


class Clients:
    """Finds the client of a call, at the same cost for one client and for hundreds."""

    def __init__(self, known: Iterable[Credentials] = (), anonymous: Client | None = None) -> None:
        known = list(known)
        self.anonymous = anonymous
        self.all = [each.client for each in known] + ([anonymous] if anonymous else [])
        self.have_tokens = any(each.digests for each in known)
        self.have_certificates = any(each.certificates for each in known)
        by_digest = {d: (d, each.client) for each in known for d in each.digests}
        self._by_certificate = {name: each.client for each in known for name in each.certificates}
        # OpenSSL takes a fiftieth of a dedup's time for a hash.
        # A bound method would be a cycle, which would keep the tokens after the next reload.
        self._of_token = lru_cache(maxsize=256)(partial(_find_token, by_digest))

    def find(self, authorizations: Sequence[bytes], certificate: Sequence[str]) -> Client | Reason:
        """The client of a call, by the values of `authorization` and the names in a certificate.

        A token comes first. A wrong one is refused, whatever else the call shows.
        """
        if authorizations:
            if len(authorizations) > 1 or len(authorizations[0]) > _LONGEST_TOKEN:
                return Reason.UNKNOWN
            return self._of_token(authorizations[0]) or Reason.UNKNOWN
        if certificate:
            found = {self._by_certificate.get(name) for name in certificate} - {None}
            return (found.pop() if len(found) == 1 else None) or Reason.UNKNOWN
        return self.anonymous or Reason.MISSING


_NOBODY: tuple[bytes, None] = (bytes(32), None)


def _find_token(
    by_digest: Mapping[bytes, tuple[bytes, Client]], authorization: bytes
) -> Client | None:
    """The client of the token in `Bearer TOKEN`; None for a value of another kind."""
    if authorization[:7].lower() != b"bearer ":
        return None
    digest = sha256(authorization[7:]).digest()
    known, client = by_digest.get(digest, _NOBODY)
    return client if compare_digest(known, digest) else None
