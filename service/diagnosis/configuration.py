"""Checks of what operators write: settings, catalogue, access file, certificates."""

import time
from collections.abc import Iterator

from observability.escaping import printable
from service.access.reading import patterns_without_a_job, read_clients
from service.diagnosis.case import Case
from service.diagnosis.checks import Check, Finding, error, ok, warning
from service.jobs.catalog_file import PACKAGED, check_tables, faults_of, read_tables
from service.support.tls_files import Lifetime

_SHARE_LEFT = 0.1
"""A certificate with a smaller part of its lifetime left has to be renewed, as the alert says."""
RENEW = "renew it (docs/tls.md); the supervisor takes the new files without a restart"
_DAY = 86_400
# An authority is valid for years, a tenth of which is too long to be warned.
_AUTHORITY_LEFT = 30 * _DAY
_REPLACE = (
    "put the next one beside it in GRPC_TLS_CLIENT_CA_FILE, and renew the certificates of clients"
    " (docs/tls.md#the-authorities-of-clients)"
)


def _settings(case: Case) -> Iterator[Finding]:
    environment = case.environment
    for each in environment.corrections:
        yield warning(
            f"{each.variable}={printable(each.given)}: is not used as given: {each.reason}",
            f"it counts as {printable(each.used) or 'not set'}: correct it, or take it out",
        )
    for variable, nearest in environment.misspelt.items():
        hint = f"the nearest is {nearest}" if nearest else "docs/settings.md has all"
        yield warning("is no setting, and sets nothing", f"correct its name: {hint}", variable)
    settings = environment.settings
    yield ok(
        f"in order: {settings.go_env}, instance {settings.supervisor_instance},"
        f" engine {settings.supervisor_engine}"
    )


def _catalogue(case: Case) -> Iterator[Finding]:
    path = case.settings.job_catalog
    shown = printable(str(path or PACKAGED))
    tables = read_tables(path)
    if faults := faults_of(tables):
        for fault in faults:
            yield error(f"{shown}: {fault}", "correct the file (docs/catalogue.md)")
        return
    catalog = check_tables(tables, path).catalog()
    case.check_catalog(case.settings, catalog)
    case.catalog = catalog
    yield ok(f"{shown}: {len(catalog)} jobs, {len(catalog.images)} images")
    for job in catalog.without_room:
        yield error("its `pids` is too few: its init uses it up", "raise it", job)
    for image in catalog.moving_images if case.settings.production else ():
        yield warning(
            "each launch pulls it, and may run another program each time",
            'name a version or a digest, or set pull = "missing"',
            image,
        )


def _access(case: Case) -> Iterator[Finding]:
    settings, clients = case.settings, read_clients(case.settings)
    if settings.access_file is None:
        yield ok("there is no access file")
        return
    file = printable(str(settings.access_file))
    yield ok(f"{file}: {len(clients.all)} clients")
    for client, pattern in patterns_without_a_job(clients, case.known_catalog):
        yield warning(
            f"client {client}: no job of the catalogue matches {printable(pattern)}",
            f"correct it in {file}",
        )


def _certificates(case: Case) -> Iterator[Finding]:
    ports = case.tls_files(case.settings)
    if not ports:
        yield ok("no port speaks TLS")
    for port, files in ports.items():
        certificates = files.read()
        yield of_certificate(port, certificates.not_before, certificates.not_after)
        if certificates.authority:
            yield of_authority(port, certificates.authority)


def of_certificate(port: str, begins: float, ends: float) -> Finding:
    """Whether a certificate is valid, and for how long. Times are Unix times."""
    left = _SHARE_LEFT * (ends - begins)
    return _of_lifetime(f"{port} port", "its certificate", Lifetime(begins, ends), left, RENEW)


def of_authority(port: str, lifetime: Lifetime) -> Finding:
    """The same of an authority of clients."""
    left = min(_SHARE_LEFT * (lifetime.ends - lifetime.begins), _AUTHORITY_LEFT)
    whose = "an authority of its clients"
    return _of_lifetime(f"{port} port", whose, lifetime, left, _REPLACE)


def _of_lifetime(subject: str, what: str, lifetime: Lifetime, least: float, helps: str) -> Finding:
    now, (begins, ends) = time.time(), lifetime
    until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(ends))
    if now >= ends:
        return error(f"{what} has expired: {until}", helps, subject)
    if now < begins:
        from_ = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(begins))
        return error(
            f"{what} is not valid before {from_}",
            "compare the clocks of this host and of who has signed it",
            subject,
        )
    if ends - now < least:
        return warning(f"{what} expires soon: {until}", helps, subject)
    return ok(f"{what} is valid for {(ends - now) / _DAY:.0f} days", subject)


CHECKS = [
    Check(
        "settings",
        "the settings in the environment and in .env",
        _settings,
        "correct it (docs/settings.md)",
    ),
    Check("catalogue", "the catalogue", _catalogue, "correct the file (docs/catalogue.md)"),
    Check("access", "the access file", _access, "correct it (docs/access.md)"),
    Check(
        "certificates",
        "the certificates of the ports",
        _certificates,
        "correct the files (docs/tls.md)",
    ),
]
