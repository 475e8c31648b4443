//! Integration tests: rollback.
