//! Integration tests: status.
