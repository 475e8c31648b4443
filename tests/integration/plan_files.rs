//! Integration tests: plan files.
