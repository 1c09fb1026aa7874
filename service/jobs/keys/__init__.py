"""The keys of the catalogue, group by group. `service.jobs.catalog_keys` puts them together."""
