//! The proof finds what is wrong with plans, and lets right ones pass.
