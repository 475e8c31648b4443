//! Integration tests: census.
