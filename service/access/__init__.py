"""Who may do what: the access file, its clients and their roles, the check of a call, the audit."""
