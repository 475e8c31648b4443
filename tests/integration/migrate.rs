//! Integration tests: migrate.
