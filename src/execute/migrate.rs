//! The plain migration runner (placeholder until the logic lands).
