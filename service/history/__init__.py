"""The history: jobs that have ended, in an SQLite file or in memory."""
