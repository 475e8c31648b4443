//! Integration tests: checklist.
