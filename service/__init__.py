"""The supervisor: launches jobs as containers when a backend asks for it over gRPC."""

__version__ = "1.0.0"
